"""The acts of people: one table of verbs, of the values that they take, and of the events that they state.

People state the same acts in four channels: in comments (imperatives such as `/experiment classify intelligent`), in
manual events of the API, in CloudEvents, and as actions of rules (participles such as `classified`). Each channel
derives its vocabulary from `ACTS`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, assert_never, get_args

from service.lifecycle.events import (
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Result,
    Shipped,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.fields import DATA_PROPERTIES, FIELDS, FieldName
from service.lifecycle.nearest import expected_one_of
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome

ActName = Literal[
    "proposed",
    "started",
    "signalled",
    "concluded",
    "classified",
    "shared",
    "reopened",
    "shipped",
    "described",
    "excluded",
]
"""The name of an act: in CloudEvents, in manual events and, except *described*, in rules."""

RESULT_WORDS: Mapping[str, Result] = {
    **dict.fromkeys(("green", "ok", "pass", "passed", "succeeded", "successful", "worked"), "success"),
    **dict.fromkeys(("red", "broken", "error", "fail", "failed", "failing"), "failure"),
}
"""Other words that people write for the result of a signal. A refusal proposes the result."""
Channel = Literal["comment", "api", "rules"]
"""A channel that refuses an act if a value that the act requires is missing. CloudEvents may omit every value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A value that an act takes.

    Attributes:
        name: the property of event data, such as `failure_category`.
        field: the declared field that the value sets; None for the result of a signal.
        required_by: the channels that refuse the act without this value.
    """

    name: str
    field: FieldName | None
    required_by: frozenset[Channel] = frozenset()

    @property
    def choices(self) -> tuple[str, ...]:
        """The accepted values; empty if the argument accepts other texts."""
        return DATA_PROPERTIES[self.field].choices if self.field else get_args(Result)

    @property
    def also(self) -> Mapping[str, str]:
        """For other words that people write, the choice that a refusal proposes."""
        return DATA_PROPERTIES[self.field].also if self.field else RESULT_WORDS

    def refusal(self, value: str) -> str:
        """The message for a value that the argument does not accept."""
        return expected_one_of(value, self.choices, self.also) if self.choices else f"expected {self.expects}"

    @property
    def expects(self) -> str:
        """A description of the accepted values, for error messages."""
        return DATA_PROPERTIES[self.field].expects if self.field else " or ".join(self.choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An act: its verb, and the values that it takes.

    Attributes:
        meaning: the effect of the act, for the documentation.
        command: the verb of the comment command; empty if the act has none.
        also: other words that people use for the verb. The refusal of such a word proposes the verb.
        arguments: the values that the act takes, in the order of the comment command.
        field: the field that the act itself declares; an argument may give its value.
        default: the value of `field` if no argument gives one.
    """

    meaning: str
    command: str = ""
    also: tuple[str, ...] = ()
    arguments: tuple[Argument, ...] = ()
    field: FieldName | None = None
    default: str = ""

    @property
    def usage(self) -> str:
        """The comment command without `/experiment`, such as `conclude <outcome> [failure_category]`."""
        shown = (f"<{one.name}>" if "comment" in one.required_by else f"[{one.name}]" for one in self.arguments)
        return " ".join((self.command, *shown))

    def missing(self, channel: Channel, given: Mapping[str, object]) -> Argument | None:
        """The first argument that the channel requires and that is not among the given properties."""
        return next((one for one in self.arguments if channel in one.required_by and one.name not in given), None)


def _argument(field: FieldName, *required_by: Channel) -> Argument:
    return Argument(name=DATA_PROPERTIES[field].name, field=field, required_by=frozenset(required_by))


_RESULT = Argument(name="result", field=None, required_by=frozenset({"comment", "api", "rules"}))

ACTS: Mapping[ActName, Act] = {
    "proposed": Act(
        meaning="the item becomes an experiment (a rule states only the time of the idea)",
        command="propose",
        also=("include", "mark", "suggest", "experiment"),
    ),
    "started": Act(meaning="work begins", command="start", also=("begin", "run")),
    "signalled": Act(
        meaning="a result comes back: `success` or `failure`",
        command="signal",
        also=("result",),
        arguments=(_RESULT,),
    ),
    "concluded": Act(
        meaning="the experiment ends, with its outcome and, if it failed, the category of the failure",
        command="conclude",
        also=("close", "complete", "done", "end", "finish", "outcome", "resolve", "stop"),
        arguments=(_argument("outcome", "comment"), _argument("failure_category")),
    ),
    "classified": Act(
        meaning="the category of a failure",
        command="classify",
        also=("category", "failure", "failure_category"),
        arguments=(_argument("failure_category", "comment", "api", "rules"),),
        field="failure_category",
    ),
    "shared": Act(
        meaning="what was learnt is written up",
        command="share",
        also=("learning", "learning_url", "publish"),
        arguments=(_argument("shared"),),
        field="shared",
        default="true",
    ),
    "reopened": Act(meaning="the experiment continues", command="reopen", also=("continue", "restart")),
    "shipped": Act(meaning="the result reaches production", command="ship", also=("deploy", "deployed", "release")),
    "described": Act(
        meaning="the title, address, team or risk",
        arguments=tuple(_argument(field) for field in ("title", "url", "team", "risk")),
    ),
    "excluded": Act(
        meaning="metrics leave the experiment out",
        command="exclude",
        also=("ignore", "remove"),
        field="excluded",
        default="stated",
    ),
}
"""Every act, in the order in which the documentation lists them."""

COMMANDS: Mapping[str, ActName] = {act.command: name for name, act in ACTS.items() if act.command}
"""The act of each verb of a comment command."""

STATED_FIELDS: Mapping[ActName, FieldName] = {name: act.field for name, act in ACTS.items() if act.field}
"""The field that each act declares by itself."""

FIELD_COMMANDS: Mapping[str, FieldName] = {
    DATA_PROPERTIES[name].name: name for name, field in FIELDS.items() if field.command
}
"""The fields that the comment command `/experiment <field> <value>` declares."""

OTHER_WORDS: Mapping[str, Mapping[str, str]] = {
    "result": RESULT_WORDS,
    **{data.name: data.also for data in DATA_PROPERTIES.values() if data.also},
}
"""By property of event data: other words that people write, each with the choice that a refusal proposes."""

RISKS = DATA_PROPERTIES["risk"].choices
"""The values that are comment commands by themselves: `/experiment bold`."""


def events_of(
    act: ActName,
    subject: Ref,
    at: datetime,
    fields: Mapping[FieldName, str],
    *,
    channel: Literal["api", "comment"],
    result: Result = "success",
) -> Iterator[LifecycleEvent]:
    """The events that an act states, without the mark of an experiment (`propose`).

    Args:
        fields: the values that the act gives, in their stored form.
    """
    commanded = channel == "comment"
    match act:
        case "proposed":
            yield Proposed(subject, at)
        case "started":
            yield Started(subject, at, commanded)
        case "signalled":
            yield Signalled(subject, at, result, commanded)
        case "concluded":
            outcome = fields.get("outcome")
            yield Concluded(subject, at, Outcome(outcome) if outcome else None, commanded)
        case "reopened":
            yield Reopened(subject, at, commanded)
        case "shipped":
            yield Shipped(subject, at, commanded)
        case "classified" | "shared" | "described" | "excluded":
            # These acts only declare fields.
            pass
        case _ as never:
            assert_never(never)
    own = ACTS[act].field
    if own and own not in fields and ACTS[act].default:
        yield Declared(subject, at, own, ACTS[act].default, channel)
    for field, value in fields.items():
        yield Declared(subject, at, field, value, channel)


def mark(subject: Ref, at: datetime, channel: Literal["api", "comment"]) -> Declared:
    """The mark of an experiment."""
    return Declared(subject, at, "experiment", "true", channel)


def propose(subject: Ref, at: datetime, channel: Literal["api", "comment"]) -> Iterator[LifecycleEvent]:
    """The events of a proposal: the subject becomes an experiment, and an exclusion on the same channel ends."""
    yield mark(subject, at, channel)
    yield Withdrawn(subject, at, "excluded", ACTS["excluded"].default, channel)
