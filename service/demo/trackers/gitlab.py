"""An experiment in GitLab: an issue, and a merge request that closes it."""

from datetime import datetime, timedelta

from service.demo.organisation import Team
from service.demo.payloads import gitlab
from service.demo.payloads.gitlab import Issue, MergeRequest
from service.demo.plan import Plan
from service.demo.post import Post
from service.demo.trackers.steps import commit_of, marks, outcome_labels, run_of, slug

_MINUTE = timedelta(minutes=1)
_FIRST_NUMBER = 100


class GitLabExperiment:
    """The steps of an experiment in GitLab."""

    def __init__(self, team: Team, plan: Plan) -> None:
        self._team = team
        self._plan = plan
        self._number = _FIRST_NUMBER + 2 * plan.number
        self._branch = f"{self._number}-{slug(plan.title)}"
        self._issue: Issue | None = None
        self._merge: MergeRequest | None = None

    @property
    def _opened(self) -> Issue:
        assert self._issue is not None  # noqa: S101 - `propose` is called first
        return self._issue

    def propose(self, at: datetime) -> list[Post]:
        self._issue = Issue(
            project=self._team.project,
            number=self._number,
            title=self._plan.title,
            created_at=at,
            labels=marks(self._team, self._plan),
        )
        return [self._issue.event("open", at)]

    def start(self, at: datetime) -> list[Post]:
        opened_at, head = at + timedelta(hours=1), commit_of(self._team, self._plan, 0)
        self._merge = MergeRequest(
            project=self._team.project,
            number=self._number,
            title=self._plan.title,
            description=f"Closes #{self._number}",
            branch=self._branch,
            head=head,
            created_at=opened_at,
        )
        pushed = gitlab.push(self._team.project, self._branch, head, self._plan.title, opened_at - _MINUTE)
        return [self._opened.assigned(at), pushed, self._merge.event("open", opened_at)]

    def run(self, at: datetime, *, succeeded: bool) -> list[Post]:
        if self._merge is None:
            return []
        self._merge.head = commit_of(self._team, self._plan, at.isoformat())
        ran = run_of(self._team, self._branch, self._merge.head, self._plan.title, at, succeeded=succeeded)
        return [self._merge.event("update", at - timedelta(minutes=10)), *ran]

    def close(self, at: datetime) -> list[Post]:
        self._opened.closed_at = at
        return [self._opened.event("close", at)]

    def reopen(self, at: datetime) -> list[Post]:
        issue = self._opened
        issue.closed_at = None
        return [issue.event("reopen", at), issue.note("Not so sure: the sample was too small.", at + _MINUTE)]

    def conclude(self, at: datetime) -> list[Post]:
        labels = outcome_labels(self._plan)
        # Close the issue first: the payload about its labels shows it closed.
        ended = [*self._end_merge(at), *self.close(at + _MINUTE)]
        return [*ended, *([self._opened.labelled(labels, at + 2 * _MINUTE)] if labels else [])]

    def share(self, at: datetime) -> list[Post]:
        return [self._opened.labelled(["learning:shared"], at)]

    def ship(self, at: datetime) -> list[Post]:
        if self._merge is None or self._merge.merge_commit is None:
            return []
        return [gitlab.deployment(self._team.project, self._merge.merge_commit, "production", at)]

    def _end_merge(self, at: datetime) -> list[Post]:
        """Merge the merge request if the experiment worked, or else close it."""
        merge = self._merge
        if merge is None:
            return []
        if self._plan.ending != "worked":
            merge.state = "closed"
            return [merge.event("close", at)]
        merge.state, merge.merge_commit = "merged", commit_of(self._team, self._plan, "merge")
        return [merge.event("merge", at)]
