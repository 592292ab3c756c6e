"""The providers that loopgauge supports, each in a module or package of its own. No provider does any I/O."""

from collections.abc import Mapping, Sequence

from service.deliveries.delivery import Provider
from service.lifecycle.readings import ReferenceReader
from service.providers.buildkite import Buildkite
from service.providers.circleci import CircleCI
from service.providers.cloudevents import CloudEvents
from service.providers.github import GitHub
from service.providers.gitlab import GitLab
from service.providers.jenkins import Jenkins
from service.providers.jira import Jira

_OF_VENDORS: Sequence[Provider] = (
    GitHub(),
    Jira(),
    GitLab(),
    CircleCI(),
    Buildkite(),
    Jenkins(),
)
REFERENCES = ReferenceReader({provider.name: provider.references for provider in _OF_VENDORS if provider.references})
"""Reads references of every scheme, such as `github:acme/app#45` and `commit:<sha>`, and all other accepted forms."""
CLOUD_EVENTS = CloudEvents(REFERENCES)
PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in (*_OF_VENDORS, CLOUD_EVENTS)}
"""Every provider, by name."""
