"""The fields of an experiment as the API and the command line show them, with the statements behind them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from service.lifecycle.events import LifecycleEvent
from service.lifecycle.fields import FieldName
from service.lifecycle.in_force import FieldInForce, FieldStatement
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.presentation.said_by import SAID_BY, SaidBy, said_by
from service.queries.explain import ExplainedExperiment
from service.storage.events import Origin

Field = Literal["experiment", "outcome", "failure_category", "team", "risk", "learning_url", "title", "url"]
FIELD: dict[str, Any] = {
    "field": "team",
    "value": "search",
    "since": "2026-03-02T09:00:00Z",
    "said_by": {**SAID_BY, "channel": "label", "label": "team:search", "words": "by label team:search (github)"},
    "overrules": [
        {
            "value": "acme/app",
            "since": "2026-03-02T09:00:00Z",
            "said_by": {
                "channel": "inferred",
                "label": "",
                "rule": "team by project",
                "source": "github",
                "words": "inferred from the project (github)",
            },
        }
    ],
    "remark": "",
}
"""An example for the OpenAPI document."""

_NAMES: Mapping[FieldName, Field] = {
    "experiment": "experiment",
    "outcome": "outcome",
    "failure_category": "failure_category",
    "team": "team",
    "risk": "risk",
    "shared": "learning_url",
    "title": "title",
    "url": "url",
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """The ways to declare a field: a label of the default rules, `/experiment <comment>`, and a `loopgauge` command.

    `command` contains neither `loopgauge` nor the reference. It is empty if no command declares the field.
    """

    label: str
    comment: str
    command: str = ""

    def advise(self, root: str, *, takes_comments: bool) -> str:
        """The advice for an experiment. `takes_comments` says whether comments in its tool may give commands."""
        label = f"add the label {self.label}"
        if takes_comments:
            return f"{label}, or comment /experiment {self.comment}"
        verb, _, value = self.command.partition(" ")
        return f"{label}, or run `{f'loopgauge {verb} {root} {value}'.rstrip()}`" if verb else label


REMEDIES: Mapping[Field, Remedy] = {
    "outcome": Remedy("outcome:failed", "conclude failed", "conclude failed"),
    "failure_category": Remedy("failure:intelligent", "classify intelligent", "classify intelligent"),
    "team": Remedy("team:search", "team search"),
    "risk": Remedy("risk:bold", "bold"),
    "learning_url": Remedy("learning:shared", "share", "share"),
}


class StatementAnswer(BaseModel):
    """A value that was stated for a field, since when, and by whom."""

    value: str
    since: datetime
    said_by: SaidBy


class FieldAnswer(BaseModel):
    """A field of the experiment: the statement in force, and the statements that it overrules.

    `value` is null if nothing was declared. `remark` says how to declare the field, or when the value takes effect.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [FIELD]})

    field: Field
    value: str | None
    since: datetime | None
    said_by: SaidBy | None
    overrules: list[StatementAnswer]
    remark: str


def in_force(
    explained: ExplainedExperiment, origins: Mapping[LifecycleEvent, Origin], commanding: Collection[str]
) -> list[FieldAnswer]:
    """The fields of an experiment, the outcome and its failure category first.

    Args:
        commanding: the providers whose comments may give commands.
    """
    root = explained.status.experiment.root
    takes_comments = root.partition(":")[0] in commanding
    advice = {name: remedy.advise(root, takes_comments=takes_comments) for name, remedy in REMEDIES.items()}
    found = {_NAMES[one.field]: _answer(one, origins, advice) for one in explained.fields if one.field in _NAMES}
    missing = {name: _undeclared(name, advice) for name in _undeclared_fields(explained) if name not in found}
    return [(found | missing)[name] for name in _ORDER if name in found | missing]


_ORDER: tuple[Field, ...] = (
    "outcome",
    "failure_category",
    "learning_url",
    "team",
    "risk",
    "experiment",
    "title",
    "url",
)


def _undeclared_fields(explained: ExplainedExperiment) -> Iterator[Field]:
    yield from ("team", "risk")
    if explained.status.experiment.concluded_at is not None:
        yield "learning_url"


def _undeclared(field: Field, advice: Mapping[Field, str]) -> FieldAnswer:
    return FieldAnswer(field=field, value=None, since=None, said_by=None, overrules=[], remark=advice[field])


def _answer(field: FieldInForce, origins: Mapping[LifecycleEvent, Origin], advice: Mapping[Field, str]) -> FieldAnswer:
    name, stated = _NAMES[field.field], field.statement
    statement = _statement(stated, origins) if stated else None
    remark = "takes effect when the experiment is concluded" if field.waits else ""
    if field.value in (Outcome.UNDECLARED, FailureCategory.UNCLASSIFIED):
        remark = advice[name]
    return FieldAnswer(
        field=name,
        value=field.value,
        since=statement.since if statement else None,
        said_by=statement.said_by if statement else None,
        overrules=[_statement(other, origins) for other in field.overruled],
        remark=remark,
    )


def _statement(stated: FieldStatement, origins: Mapping[LifecycleEvent, Origin]) -> StatementAnswer:
    return StatementAnswer(
        value=stated.value, since=stated.since, said_by=said_by(stated.event, origins.get(stated.event))
    )
