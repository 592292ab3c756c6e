"""How long the pure core takes: folding an experiment, and interpreting a delivery. Run by `make bench`.

Machines differ and are shared, so each figure also stands as a ratio to parsing a payload of 12 KB with the standard
library in the same run.
"""

import json
import timeit
from collections.abc import Callable
from datetime import timedelta

from service.lifecycle.events import Active, Concluded, Declared, LifecycleEvent, Proposed, Signalled
from service.lifecycle.evidence import Ref
from service.lifecycle.experiment import fold
from service.pipeline.judge import interpret_delivery
from tests.builders import GitHubRequest, PullRequest, at, github
from tests.road import RULES

_ROUNDS = 7
_CALLS = 200


def _padded(request: GitHubRequest, size: int) -> GitHubRequest:
    """The request with as many unused fields as a real payload has."""
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
    """The best of several rounds: what the work takes when nothing else gets in its way."""
    return min(timeit.repeat(work, number=_CALLS, repeat=_ROUNDS)) / _CALLS * 1e6


def main() -> None:
    """Print each figure with its bound."""
    request = _padded(PullRequest(created_at=at(3), labels=("experiment", "team:search")).opened(), 12_000)
    delivery = request.delivery(at(3))
    events = _hundred_events()
    baseline = _microseconds(lambda: json.loads(request.body))
    print(f"parsing {len(request.body)} bytes with json.loads: {baseline:.0f} µs")
    for name, bound, work in (
        (f"folding {len(events)} events", 1000, lambda: fold(events[0].subject, events, [])),
        (f"interpreting {len(request.body)} bytes from GitHub", 300, lambda: interpret_delivery(RULES, delivery)),
    ):
        taken = _microseconds(work)
        verdict = "within" if taken < bound else "OVER"
        print(f"{name}: {taken:.0f} µs, {verdict} {bound} µs; {taken / baseline:.1f} times json.loads")


if __name__ == "__main__":
    main()
