"""The course of an experiment in each tracker: its steps, and the deliveries that each step posts."""

from collections.abc import Mapping
from typing import Protocol

from service.demo.organisation import Team, Tracker
from service.demo.plan import Plan
from service.demo.trackers.github import GitHubExperiment
from service.demo.trackers.gitlab import GitLabExperiment
from service.demo.trackers.jira import JiraExperiment
from service.demo.trackers.steps import Steps


class Begin(Protocol):
    """A callable that creates the steps of a team's experiment in one tracker."""

    def __call__(self, team: Team, plan: Plan) -> Steps: ...


TRACKERS: Mapping[Tracker, Begin] = {"github": GitHubExperiment, "jira": JiraExperiment, "gitlab": GitLabExperiment}
"""For each tracker, the class of its experiments."""
