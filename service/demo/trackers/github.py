"""An experiment in GitHub: an issue, and a pull request that closes it."""

from datetime import datetime, timedelta

from service.demo.organisation import Team
from service.demo.payloads import github
from service.demo.payloads.github import Issue, PullRequest
from service.demo.plan import Plan
from service.demo.post import Post
from service.demo.trackers.steps import commit_of, marks, outcome_labels, run_of, slug

_MINUTE = timedelta(minutes=1)
_FIRST_NUMBER = 100
# The numbers of the experiments' issues are four apart. If an issue has the number n, its pull request has the number
# n + 1, and an unrelated issue may have the number n + 2.
_APART = 4


class GitHubExperiment:
    """The steps of an experiment in GitHub. Every second experiment is concluded and shared by commands in comments."""

    def __init__(self, team: Team, plan: Plan) -> None:
        self._team = team
        self._plan = plan
        self._number = _FIRST_NUMBER + _APART * plan.number
        self._branch = f"{self._number}-{slug(plan.title)}"
        self._by_command = plan.number % 2 == 1
        self._issue: Issue | None = None
        self._pull: PullRequest | None = None

    @property
    def _opened(self) -> Issue:
        assert self._issue is not None  # noqa: S101 - `propose` is called first
        return self._issue

    def propose(self, at: datetime) -> list[Post]:
        team, plan = self._team, self._plan
        body = f"We want to know whether it helps to: {plan.title.lower()}."
        labels = marks(team, plan)
        self._issue = Issue(
            repository=team.project, number=self._number, title=plan.title, created_at=at, labels=labels, body=body
        )
        return [self._issue.event("opened", at)]

    def start(self, at: datetime) -> list[Post]:
        issue, head = self._opened, commit_of(self._team, self._plan, 0)
        issue.assigned = True
        opened_at = at + timedelta(minutes=50)
        self._pull = PullRequest(
            repository=self._team.project,
            number=self._number + 1,
            title=self._plan.title,
            body=f"Closes #{self._number}",
            branch=self._branch,
            head=head,
            created_at=opened_at,
        )
        return [
            issue.event("assigned", at, assignee={"login": "octo-dev"}),
            github.push(self._team.project, self._branch, head, self._plan.title, opened_at - _MINUTE, created=True),
            self._pull.event("opened", opened_at),
        ]

    def run(self, at: datetime, *, succeeded: bool) -> list[Post]:
        if self._pull is None:
            return []
        self._pull.head = commit_of(self._team, self._plan, at.isoformat())
        pushed_at = at - timedelta(minutes=10)
        ran = run_of(self._team, self._branch, self._pull.head, self._plan.title, at, succeeded=succeeded)
        return [self._pull.event("synchronize", pushed_at), *ran]

    def close(self, at: datetime) -> list[Post]:
        issue = self._opened
        issue.closed_at, issue.reason = at, _REASONS.get(self._plan.ending, "completed")
        return [issue.event("closed", at)]

    def reopen(self, at: datetime) -> list[Post]:
        issue = self._opened
        issue.closed_at, issue.reason = None, "reopened"
        return [issue.event("reopened", at), issue.comment("Not so sure: the sample was too small.", at + _MINUTE)]

    def conclude(self, at: datetime) -> list[Post]:
        return [*self._end_pull(at), *self._declare(at), *self.close(at + 4 * _MINUTE)]

    def share(self, at: datetime) -> list[Post]:
        issue, page = self._opened, f"https://wiki.example.com/learnings/{self._branch}"
        if self._by_command:
            return [issue.comment(f"Written up.\n\n/experiment share {page}", at)]
        issue.labels.append("learning:shared")
        return [issue.event("labeled", at, label=github.label("learning:shared"))]

    def ship(self, at: datetime) -> list[Post]:
        if self._pull is None or self._pull.merge_commit is None:
            return []
        sha, project = self._pull.merge_commit, self._team.project
        staged_at = at - timedelta(hours=1)
        return [
            github.deployment_status(project, sha, "staging", staged_at),
            github.deployment_status(project, sha, "production", at),
        ]

    def _end_pull(self, at: datetime) -> list[Post]:
        """Merge the pull request if the experiment worked, or else close it."""
        pull = self._pull
        if pull is None:
            return []
        pull.closed_at = at
        if self._plan.ending != "worked":
            return [pull.event("closed", at)]
        pull.merged_at, pull.merge_commit = at, commit_of(self._team, self._plan, "merge")
        message = f"Merge pull request #{pull.number} from acme/{pull.branch}"
        return [pull.event("closed", at), github.push(pull.repository, "main", pull.merge_commit, message, at)]

    def _declare(self, at: datetime) -> list[Post]:
        issue, labels = self._opened, outcome_labels(self._plan)
        if self._by_command and labels:
            words = " ".join(label.partition(":")[2] for label in labels)
            return [issue.comment(f"We know now.\n\n/experiment conclude {words}", at + _MINUTE)]
        posts = []
        for place, name in enumerate(labels, start=1):
            issue.labels.append(name)
            posts.append(issue.event("labeled", at + place * _MINUTE, label=github.label(name)))
        return posts


_REASONS = {"abandoned": "not_planned", "duplicate": "duplicate"}
