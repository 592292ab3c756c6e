"""Generated stories of experiments, as the deliveries of GitHub, Jira and CircleCI."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import NAMESPACE_OID, UUID, uuid5

from service.deliveries.delivery import Delivery
from service.demo.payloads.jira import DONE, IN_PROGRESS
from service.providers import PROVIDERS
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, deployment_status, push, workflow_run
from tests.support.payloads import IN_REVIEW, Ticket, circleci_workflow
from tests.support.signing import Request

Told: TypeAlias = GitHubRequest | Request

AFTERWARDS = at(31)
"""A time after the end of all stories. The metrics are compared as of this time."""

_TEAMS = ("search", "ads", "growth")
_OUTCOMES = ("worked", "failed", "inconclusive", "abandoned")
_CATEGORIES = ("intelligent", "basic", "complex")
_RED_OR_GREEN = ("success", "failure")
_SHORTEST_TALE, _LONGEST_TALE = 0.5, 8.0
_TAMPERED = 0.2
_GITHUB_ID = "x-github-delivery"


@dataclass(frozen=True, slots=True)
class Posting:
    """A request to send.

    Attributes:
        delivery: the id under which the service stores the request if its signature is right.
        genuine: whether the signature of the request is right.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    delivery: UUID
    genuine: bool = True


def stories(rng: random.Random, count: int) -> list[list[Told]]:
    """Generate `count` stories of one experiment each, as deliveries in order; no two deliveries are the same."""
    kinds = (_an_issue, _a_branch, _a_ticket, _an_afterthought)
    told = [kinds[number % len(kinds)](rng, number) for number in range(1, count + 1)]
    everything = [one for story in told for one in story]
    assert len({posting(one).delivery for one in everything}) == len({one.body for one in everything})
    assert len({one.body for one in everything}) == len(everything)
    return told


def schedule(rng: random.Random, told: Sequence[Sequence[Told]], seconds: float) -> list[tuple[float, Posting]]:
    """Return requests in the order in which to post them, each with its time in seconds from the start.

    Each delivery is posted one to three times. A tampered copy of some deliveries is posted too.

    Each story is posted in random order and in a short time. So at any time some stories are complete: if a fault
    damages one of them, no later delivery repairs the damage.
    """
    due: list[tuple[float, Posting]] = []
    for story in told:
        lasting = min(rng.uniform(_SHORTEST_TALE, _LONGEST_TALE), seconds)
        begin = rng.uniform(0, seconds - lasting)
        for one in map(posting, story):
            due += [(begin + rng.uniform(0, lasting), one) for _ in range(rng.choice((1, 1, 2, 3)))]
            if rng.random() < _TAMPERED:
                due.append((begin + rng.uniform(0, lasting), tampered(one, new_id=rng.random() < 0.5)))
    return sorted(due, key=lambda entry: entry[0])


def posting(told: Told) -> Posting:
    """The request in which the provider sends this delivery."""
    return _identified(told.path, told.headers(), told.body, genuine=True)


def under_another_id(one: Posting, delivery_id: str) -> Posting:
    """A GitHub delivery with the same body and another id."""
    return _identified(one.path, {**one.headers, _GITHUB_ID: delivery_id}, one.body, genuine=True)


def tampered(one: Posting, *, new_id: bool) -> Posting:
    """The request with another body and the old signature.

    A GitHub delivery keeps its id, which is in a header, unless `new_id` is true.
    """
    body = json.dumps({**json.loads(one.body), "tampered": new_id}).encode()
    headers = dict(one.headers)
    if new_id and _GITHUB_ID in headers:
        headers[_GITHUB_ID] = str(uuid5(NAMESPACE_OID, repr(body)))
    return _identified(one.path, headers, body, genuine=False)


def _identified(path: str, headers: dict[str, str], body: bytes, *, genuine: bool) -> Posting:
    source = path.rpartition("/")[2]
    provider = PROVIDERS[source]
    kept = Delivery(source, provider.name, provider.delivery_id(headers, body), {}, body, AFTERWARDS)
    return Posting(path, headers, body, kept.id, genuine)


def _moments(rng: random.Random) -> Iterator[datetime]:
    """Generate ascending times. Each time is two minutes to 36 hours later than the previous time."""
    moment = at(1) + timedelta(seconds=rng.randrange(10 * 86400))
    while True:
        yield moment
        moment += timedelta(seconds=rng.randrange(120, 36 * 3600))


def _commit(rng: random.Random) -> str:
    return f"{rng.getrandbits(160):040x}"


def _run(rng: random.Random, sha: str, when: datetime, branch: str) -> Told:
    conclusion = rng.choice(_RED_OR_GREEN)
    if rng.random() < 0.5:
        return workflow_run(sha, when, conclusion)
    return circleci_workflow(sha, when, "failed" if conclusion == "failure" else conclusion, branch)


def _change(rng: random.Random, pull: PullRequest, then: Iterator[datetime]) -> list[Told]:
    """A pull request from its opening to its end, with CI runs, a comment and a deployment."""
    told: list[Told] = [pull.opened(), _run(rng, pull.head, next(then), pull.branch)]
    for _ in range(rng.randrange(3)):
        pull, pushed = pull.pushed(_commit(rng), next(then))
        told += [pushed, _run(rng, pull.head, next(then), pull.branch)]
    if rng.random() < 0.5:
        said = rng.choice(("/experiment bold", "/experiment team ads", "Looks good"))
        told.append(pull.commented(said, next(then)))
    if rng.random() < 0.3:
        return [*told, pull.closed(next(then))[1]]
    merge = _commit(rng)
    told.append(pull.merged(next(then), merge)[1])
    return [*told, deployment_status(merge, next(then))] if rng.random() < 0.5 else told


def _an_issue(rng: random.Random, number: int) -> list[Told]:
    """An issue and the pull request that closes it. The issue may be reopened, classified and shared."""
    then = _moments(rng)
    labels = ("experiment", f"team:{rng.choice(_TEAMS)}", f"risk:{rng.choice(('bold', 'safe'))}")
    issue = Issue(number=number, title=f"Idea {number}", labels=labels, created_at=next(then))
    told: list[Told] = [issue.opened()]
    if rng.random() < 0.7:
        told.append(issue.assigned(next(then)))
    pull = PullRequest(
        number=10_000 + number,
        body=f"Closes #{number}",
        branch=f"idea-{number}",
        head=_commit(rng),
        created_at=next(then),
    )
    told += _change(rng, pull, then)
    outcome = rng.choice(_OUTCOMES)
    issue, answered = issue.labeled(f"outcome:{outcome}", next(then))
    issue, closed = issue.closed(next(then))
    told += [answered, closed]
    if outcome == "failed":
        issue, classified = issue.labeled(f"failure:{rng.choice(_CATEGORIES)}", next(then))
        told.append(classified)
    if rng.random() < 0.4:
        issue, reopened = issue.reopened(next(then))
        issue, taken_back = issue.unlabeled(f"outcome:{outcome}", next(then))
        issue, closed = issue.closed(next(then), rng.choice(("completed", "not_planned")))
        told += [reopened, taken_back, closed]
    if rng.random() < 0.5:
        told.append(issue.labeled("learning:shared", next(then))[1])
    return told


def _a_branch(rng: random.Random, number: int) -> list[Told]:
    """A branch that is an experiment, and its pull request."""
    then = _moments(rng)
    branch, head = f"exp/idea-{number}", _commit(rng)
    pushed = push(branch, head, next(then), f"Try idea {number}", created=True)
    pull = PullRequest(
        number=10_000 + number,
        title=f"Idea {number}",
        body="",
        branch=branch,
        labels=(f"team:{rng.choice(_TEAMS)}",),
        head=head,
        created_at=next(then),
    )
    return [pushed, *_change(rng, pull, then)]


def _a_ticket(rng: random.Random, number: int) -> list[Told]:
    """A Jira ticket with a pull request on GitHub. The ticket moves to Done, and may be reopened."""
    then = _moments(rng)
    key = f"ML-{number}"
    ticket = Ticket(key=key, summary=f"Idea {number}", component=rng.choice(_TEAMS), created_at=next(then))
    told: list[Told] = [ticket.created()]
    ticket, started = ticket.moved(IN_PROGRESS, next(then))
    told.append(started)
    pull = PullRequest(
        number=10_000 + number,
        title=f"{key} idea {number}",
        body="",
        branch=f"{key}-idea",
        head=_commit(rng),
        created_at=next(then),
    )
    told += _change(rng, pull, then)
    told.append(ticket.commented(f"Comment on idea {number}", next(then)))
    ticket, answered = ticket.labelled(f"outcome:{rng.choice(_OUTCOMES)}", next(then))
    ticket, done = ticket.moved(DONE, next(then), rng.choice(("Done", "Won't Do")))
    told += [answered, done]
    if rng.random() < 0.4:
        ticket, reopened = ticket.moved(IN_REVIEW, next(then))
        ticket, done = ticket.moved(DONE, next(then), "Done")
        told += [reopened, done]
    if rng.random() < 0.5:
        told.append(ticket.labelled("learning:shared", next(then))[1])
    return told


def _an_afterthought(rng: random.Random, number: int) -> list[Told]:
    """An issue that becomes an experiment late, or only for a while."""
    then = _moments(rng)
    issue = Issue(number=number, title=f"Idea {number}", labels=(), created_at=next(then))
    told: list[Told] = [issue.opened(), issue.edited(next(then))]
    issue, closed = issue.closed(next(then))
    issue, marked = issue.labeled("experiment", next(then))
    told += [closed, marked]
    if rng.random() < 0.5:
        issue, unmarked = issue.unlabeled("experiment", next(then))
        told.append(unmarked)
    return told
