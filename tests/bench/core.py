"""Measure how long the pure core takes to fold an experiment and to interpret a delivery.

The reference is the time to parse a payload of 12 KB with the standard library's `json`.
"""

import json
import timeit
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from service.lifecycle.events import Active, Concluded, Declared, LifecycleEvent, Proposed, Signalled
from service.lifecycle.experiment import fold
from service.lifecycle.references import Ref
from service.pipeline.interpret import interpret_delivery
from tests.bench.report import Line
from tests.support.builders import GitHubRequest, PullRequest, at, github
from tests.support.road import RULES

_ROUNDS = 7
_CALLS = 200


def _padded(request: GitHubRequest, size: int) -> GitHubRequest:
    """The request, padded with unused fields to the size of a real payload."""
    payload = json.loads(request.body)
    while len(json.dumps(payload)) < size:
        payload[f"unused_{len(payload)}"] = {"url": "https://api.github.com/repos/acme/app", "id": len(payload)}
    return github(request.event, payload)


def _hundred_events() -> list[LifecycleEvent]:
    root = Ref("github:acme/app#45")
    days = [at(1) + timedelta(days=number) for number in range(24)]
    events: list[LifecycleEvent] = [Proposed(root, days[0]), Concluded(root, days[-1])]
    for day in days:
        events += [
            Declared(root, day, "title", f"as of {day}", "item"),
            Declared(root, day, "team", "search", "derived"),
            Signalled(root, day, "failure"),
            Active(root, day),
        ]
    return [*events, Declared(root, days[3], "outcome", "failed", "label"), Proposed(root, days[1])]


def _microseconds(work: Callable[[], object]) -> float:
    return timeit.timeit(work, number=_CALLS) / _CALLS * 1e6


def measure(_url: str, _directory: Path) -> Iterator[Line]:
    """Measure folding, interpreting and parsing in alternation, so that a slow phase of the machine slows all three."""
    request = _padded(PullRequest(created_at=at(3), labels=("experiment", "team:search")).opened(), 12_000)
    delivery = request.delivery(at(3))
    events = _hundred_events()
    works: Mapping[str, Callable[[], object]] = {
        "parsing": lambda: json.loads(request.body),
        "folding": lambda: fold(events[0].subject, events, []),
        "interpreting": lambda: interpret_delivery(RULES, delivery),
    }
    rounds = [{name: _microseconds(work) for name, work in works.items()} for _ in range(_ROUNDS)]
    parsed = [one["parsing"] for one in rounds]
    for name, what, most in (
        ("folding", f"folding {len(events)} events", 1000),
        ("interpreting", "interpreting a 12 KB delivery from GitHub", 300),
    ):
        taken = [one[name] for one in rounds]
        yield Line(what=what, values=taken, unit="µs", most=most)
        yield Line(what=what, values=taken, unit="µs", against="parsing 12 KB of JSON", references=parsed)
