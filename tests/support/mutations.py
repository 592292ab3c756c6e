"""Strategies for nearly valid payloads, and a check of the observations that a provider makes of them."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from service.deliveries.observation import (
    TRAITS,
    Commented,
    Identified,
    Linked,
    Looked,
    Mentioned,
    Nothing,
    Observation,
    Observed,
    Outsider,
    Pushed,
    Renamed,
    Stated,
)
from tests.support.paths import CORPUS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
TIMES = st.datetimes(timezones=st.timezones() | st.none()).map(datetime.isoformat)
SURROGATES = st.text(st.characters(categories=["Cs"]), min_size=1)
HUGE = st.integers(17, 4299).map(lambda digits: 10**digits)
REFERENCES = st.sampled_from(["github:acme/app#45", "commit:" + "a" * 40, "key:a", "jira:-", "branch:@", "run:#!"])
ANYTHING = st.text() | SURROGATES | st.integers() | HUGE | TIMES | REFERENCES | JSON


def collected(provider: str) -> list[Path]:
    """The files of a provider's published payloads; none if the corpus is not installed."""
    return sorted((CORPUS / provider).rglob("*.json"))


def read(paths: Sequence[Path]) -> list[Any]:
    """The content of JSON files."""
    return [json.loads(path.read_bytes()) for path in paths]


@st.composite
def nearly_right(draw: st.DrawFn, payloads: Callable[[], Sequence[Any]]) -> Any:
    """One of the payloads, with some fields missing and others replaced by anything.

    Args:
        payloads: a function that returns the payloads. If the argument were the payloads, Hypothesis would print them.
    """
    payload = json.loads(json.dumps(draw(st.sampled_from(payloads()))))
    for _ in range(draw(st.integers(1, 3))):
        places = [one for one in _places(payload) if one]
        if not places:
            break
        place = draw(st.sampled_from(places))
        name: Any = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if draw(st.booleans()):
            place[name] = draw(ANYTHING)
        else:
            del place[name]
    return payload


def _places(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """Every object and list in a payload, including the payload itself."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _places(inner)


def is_sound(said: Sequence[Observation] | Nothing) -> bool:
    """Whether each observation has a UTC time and only traits of its kind.

    For `Nothing`, whether a reason is given.
    """
    if isinstance(said, Nothing):
        return bool(said.reason)
    known = all(one.traits.keys() <= TRAITS[one.kind] for one in said if isinstance(one, Observed))
    return known and all(at.utcoffset() == timedelta(0) for one in said for at in times(one))


def dated(said: Sequence[Observation] | Nothing) -> list[Observed | Mentioned]:
    """Check that all observations of a CI run of the repository itself have a time, and return them."""
    assert not isinstance(said, Nothing)
    known = [one for one in said if isinstance(one, Observed | Mentioned)]
    assert len(known) == len(said)
    return known


def times(one: Observation) -> list[datetime]:
    """The times in an observation."""
    match one:
        case Observed(at=at) | Looked(at=at) | Commented(at=at) | Linked(at=at) | Mentioned(at=at) | Identified(at=at):
            return [at]
        case Renamed(alias=alias):
            return [alias.renamed_at]
        case Pushed(push=push):
            return [push.pushed_at]
        case Stated(events=events):
            return [event.occurred_at for event in events]
        case Outsider(since=since, until=until):
            return [at for at in (since, until) if at is not None]
