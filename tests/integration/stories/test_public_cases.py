"""Sequences of deliveries after public bug reports, which are kept beside the repository, come out as they should."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.deliveries.delivery import Delivery
from service.lifecycle.experiment import Experiment
from service.storage.database import Database
from tests.support.paths import CORPUS
from tests.support.road import all_experiments, settle, store_deliveries

_CASES = CORPUS.parent / "cases"
_NOVEMBER = datetime(2026, 11, 1, 12, tzinfo=UTC)
_RECEIVED_AT = _NOVEMBER.replace(day=28)

pytestmark = pytest.mark.skipif(not _CASES.is_dir(), reason="the cases are kept beside the repository")


def on(day: int) -> datetime:
    return _NOVEMBER.replace(day=day)


EXPECTED: Mapping[str, tuple[str, Mapping[str, Any] | None]] = {
    "09": ("github:acme/lab#21", None),
    "10": ("github:acme/lab#22", None),
    "11": ("github:acme/ms#51", {"concluded_at": None, "outcome": None}),
    "17": ("github:acme/ty#5", {"idea_at": on(19), "started_at": None}),
    "18": ("github:acme/tmpl#123", {"idea_at": on(19), "started_at": None, "first_signal_at": None}),
    "20": ("github:corp/app#4", {"started_at": on(20), "first_signal_at": on(21)}),
    "26": ("github:acme/sub#90", {"started_at": on(20), "first_signal_at": on(21), "concluded_at": None}),
    "29": ("github:acme/st#25", {"started_at": on(20), "first_signal_at": on(21)}),
    "36": ("github:acme/lb#3", {"started_at": on(20), "first_signal_at": on(21)}),
    "37": ("github:acme/trunk#93", {"first_signal_at": on(26), "concluded_at": on(26)}),
}
"""For each case, the root of an experiment and some of its fields; None if there must be no such experiment."""


def _deliveries(case: Path) -> Sequence[Delivery]:
    bodies, headers = (json.loads((case / name).read_bytes()) for name in ("body.json", "headers.json"))
    return [
        _delivery(f"{case.name} {place}", body, {name.lower(): value for name, value in head.items()})
        for place, (body, head) in enumerate(zip(bodies, headers, strict=True))
    ]


def _delivery(name: str, body: Any, headers: dict[str, str]) -> Delivery:
    source = headers.pop("post").rpartition("/")[2]
    return Delivery(source, source, name, headers, json.dumps(body).encode(), _RECEIVED_AT)


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
@pytest.mark.parametrize("case", EXPECTED)
async def test_a_case_comes_out_as_expected_in_any_order(database: Database, case: str, order: int) -> None:
    [directory] = _CASES.glob(f"{case}-*")
    root, expected = EXPECTED[case]
    await store_deliveries(database, *_deliveries(directory)[::order])
    await settle(database)
    experiment = (await all_experiments(database)).get(root)
    assert _fields(experiment, expected) == expected


def _fields(experiment: Experiment | None, expected: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if experiment is None else {name: getattr(experiment, name) for name in expected or ("root",)}
