"""The providers that loopgauge understands: one room each, all of the same shape. Pure."""

from collections.abc import Mapping

from service.providers.github import GitHub
from service.webhook import Provider

PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in (GitHub(),)}
"""Every provider under its name."""
