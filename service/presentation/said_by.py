"""The origin of a statement, in words: by label, by comment, by hand, by a rule, or inferred. Never a person."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from service.lifecycle.events import (
    Concluded,
    DeclarationChannel,
    Declared,
    LifecycleEvent,
    Reopened,
    Shown,
    Started,
    Withdrawn,
)
from service.rules.apply import BY_HAND, COMMANDED, STATED
from service.storage.events import Origin

# The default rules are named after their effect and its cause, such as `concluded by closing`.
_CAUSE = re.compile(
    r"(?:proposed|started|signalled|concluded|abandoned|shipped|shared|outcome|failure category|team|risk|experiment)"
    r" by (.+)"
)
Channel = Literal["label", "type", "branch", "comment", "api", "rule", "inferred"]
_CHANNELS: Mapping[DeclarationChannel, Channel] = {
    "label": "label",
    "type": "type",
    "branch": "branch",
    "item": "rule",
    "comment": "comment",
    "api": "api",
    "derived": "inferred",
}
# The names that stand for a rule if a person states an event in a comment, or with the API.
_NAMELESS: Mapping[str, Channel] = {COMMANDED: "comment", STATED: "api", BY_HAND: "api"}
_UNSHOWN = "inferred from a payload that no longer shows it"
SAID_BY: dict[str, Any] = {
    "channel": "rule",
    "label": "",
    "rule": "concluded by closing",
    "source": "github",
    "words": "by closing (github)",
}
"""An example for the OpenAPI document."""


class SaidBy(BaseModel):
    """The channel, the label and the rule by which an event was stated, and its source.

    `label` is empty unless the channel is `label`. `words` says the same in a few words.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [SAID_BY]})

    channel: Channel
    label: str
    rule: str
    source: str
    words: str


def said_by(event: LifecycleEvent, origin: Origin | None) -> SaidBy:
    """Say how an event was stated.

    Args:
        origin: the delivery that brought the event first; None if no delivery of the event is stored.
    """
    rule, source = (origin.rule, origin.source) if origin else ("", "")
    label = event.label if isinstance(event, Declared | Withdrawn) else ""
    channel = _channel(event, rule)
    words = _UNSHOWN if isinstance(event, Shown) else _words(channel, label, rule)
    # A person's act has no tool to name.
    shown = f"{words} ({source})" if source and rule != BY_HAND else words
    return SaidBy(channel=channel, label=label, rule=rule, source=source, words=shown)


def _channel(event: LifecycleEvent, rule: str) -> Channel:
    match event:
        case Declared(channel=channel) | Withdrawn(channel=channel):
            return _CHANNELS[channel]
        case Shown():
            return "inferred"
        case Started(commanded=True) | Concluded(commanded=True) | Reopened(commanded=True):
            return "comment"
        case _:
            return _NAMELESS.get(rule, "rule")


def _words(channel: Channel, label: str, rule: str) -> str:
    match channel:
        case "label":
            return f"by label {label}".rstrip()
        case "comment":
            return "by comment"
        case "api":
            return BY_HAND if rule == BY_HAND else "by API"
        case "inferred":
            return _by_rule(rule).replace("by ", "inferred from the ", 1) if rule else "inferred"
        case "type":
            return "by issue type"
        case "branch":
            return "by branch name"
        case "rule":
            return _by_rule(rule)


def _by_rule(rule: str) -> str:
    """The cause in the rule's name, or the name itself."""
    if not rule:
        return "by a delivery that is no longer stored"
    named = _CAUSE.fullmatch(rule)
    return f"by {named[1]}" if named else f'by rule "{rule}"'
