"""Turn the actions of a matching rule into lifecycle events."""

from collections.abc import Mapping
from datetime import UTC, datetime, time
from functools import lru_cache
from hashlib import sha256
from typing import assert_never

from service.deliveries.decoding import shorten
from service.deliveries.observation import Kind, Looked, Observed, Trait
from service.deliveries.payload import RawPayload
from service.lifecycle.addresses import without_userinfo
from service.lifecycle.events import (
    Active,
    Concluded,
    DeclarationChannel,
    Declared,
    LifecycleEvent,
    Proposed,
    Refused,
    Reopened,
    Shipped,
    Shown,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.fields import FIELDS, FieldName
from service.lifecycle.shown import key_of
from service.lifecycle.teams import names_account
from service.rules.model import Action, DeclareAction, IgnoreAction, InstantAction, Rule, WithdrawAction

_REMOVALS: frozenset[Kind] = frozenset({"unlabelled", "untyped", "superseded"})
WITHOUT_INSTANTS: frozenset[Kind] = frozenset({"seen", *_REMOVALS})
"""The kinds of observations that describe a state or its end. For these kinds, an `InstantAction` has no effect."""
_KINDS: Mapping[FieldName, str] = {
    "outcome": "an outcome",
    "failure_category": "a failure category",
    "risk": "a risk",
}
_CHANNELS: Mapping[Trait, DeclarationChannel] = {"label": "label", "item_type": "type", "branch": "branch"}


def decision_of(action: Action) -> str:
    """The name of what an action does: the event that it produces, the field that it sets, or `ignored`.

    If actions of several matching rules have the same name, only the first rule's action takes effect. A declared and a
    derived value of a field have different names, so one rule may declare a field and another rule derive it.
    """
    match action:
        case InstantAction(name=name):
            return name
        case DeclareAction(field=field, derived=derived):
            return f"derived {field}" if derived else field
        case WithdrawAction(field=field):
            return field
        case IgnoreAction():
            return "ignored"
        case _ as never:
            assert_never(never)


def make_event(
    action: Action, rule: Rule, observation: Observed, label: str, known: Mapping[str, str], payload: RawPayload
) -> LifecycleEvent | None:
    """The event that an action produces, or None if it produces none.

    Args:
        label: the label that matched, or an empty text.
        known: the values that a template may insert, by name.
    """
    match action:
        case InstantAction():
            return None if observation.kind in WITHOUT_INSTANTS else _make_instant(action, observation)
        case IgnoreAction():
            return None
        case DeclareAction(field=field, value=template) | WithdrawAction(field=field, value=template):
            text = template.fill(known, payload) or ""
            value = FIELDS[field].normalise(text)
            if value is None:
                return _refuse_label(action, rule, observation, label, text)
            return _make_declaration(action, rule, observation, _stored_label(label), value)
        case _ as never:
            assert_never(never)


def _refuse_label(
    action: DeclareAction | WithdrawAction, rule: Rule, observation: Observed, label: str, value: str
) -> Refused | None:
    """The refusal of a label whose value the field does not accept.

    Only labels are refused, because people write them for loopgauge. Other traits, such as a status, often have values
    that the field does not accept.
    """
    if not isinstance(action, DeclareAction) or action.derived or _channel_of(rule) != "label" or not value.strip():
        return None
    return refuse_label(observation, label, f"{FIELDS[action.field].refusal(value)}{_name_kind(action.field, value)}")


def _name_kind(field: FieldName, value: str) -> str:
    """Say of which other field a value is, as in `outcome:intelligent`."""
    found = (f"; it is {kind}" for other, kind in _KINDS.items() if other != field and FIELDS[other].normalise(value))
    return next(found, "") if field in _KINDS else ""


def refuse_label(observation: Observed, label: str, why: str) -> Refused:
    """The refusal of a label that the item has, or that was added to it or removed from it."""
    # A label may contain an account or an e-mail address: neither show nor store it then.
    shown = "a label" if names_account(label) else f"label `{shorten(label)}`"
    reason = f"{shown}: {why}"
    overheard, removed = observation.kind == "seen", observation.kind in _REMOVALS
    return Refused(observation.subject, observation.at, "label", reason, overheard, _refused_label(label), removed)


def _stored_label(label: str) -> str:
    """The form in which a declaration stores its label."""
    return without_userinfo(label.lower())


def _refused_label(label: str) -> str:
    """The form in which a refusal stores its label: a hash if the label may contain an account."""
    return sha256(label.lower().encode()).hexdigest() if names_account(label) else label.lower()


@lru_cache(maxsize=4096)
def _keys_of(label: str) -> frozenset[str]:
    return frozenset({key_of(_stored_label(label)), key_of(_refused_label(label))})


def make_shown(looked: Looked) -> Shown:
    """The event that records the state of a subject. It has a key for each form in which other events store a label."""
    keys = frozenset[str]().union(*map(_keys_of, looked.labels or ()))
    labels = None if looked.labels is None else tuple(sorted(keys))
    item_type = key_of(looked.item_type) if looked.item_type else looked.item_type
    return Shown(looked.subject, looked.at, labels, item_type, looked.is_open, looked.status)


def _make_declaration(
    action: DeclareAction | WithdrawAction, rule: Rule, observation: Observed, label: str, value: str
) -> Declared | Withdrawn | None:
    subject, at, removed = observation.subject, observation.at, observation.kind in _REMOVALS
    channel = "derived" if isinstance(action, DeclareAction) and action.derived else _channel_of(rule)
    stating_label = label if channel == "label" else ""
    match action:
        case WithdrawAction(field=field):
            return None if removed else Withdrawn(subject, at, field, value, channel, stating_label)
        case DeclareAction(field=field) if removed:
            return Withdrawn(subject, at, field, value, channel, stating_label)
        case DeclareAction(field=field):
            overheard = channel == "label" and observation.kind == "seen"
            return Declared(subject, at, field, value, channel, overheard, stating_label)
        case _ as never:
            assert_never(never)


def _channel_of(rule: Rule) -> DeclarationChannel:
    """The channel of the rule's first condition on a trait that has a channel; otherwise `item`."""
    channels = (_CHANNELS[condition.trait] for condition in rule.conditions if condition.trait in _CHANNELS)
    return next(channels, "item")


def _make_instant(action: InstantAction, observation: Observed) -> LifecycleEvent:
    subject, at = observation.subject, observation.at
    match action.name:
        case "proposed":
            return Proposed(subject, at)
        case "started":
            return Started(subject, at)
        case "signalled":
            return Signalled(subject, at, action.result or "success", by_check=observation.kind == "checked")
        case "concluded":
            return Concluded(subject, at, action.outcome, status=_status(observation, "status_to"))
        case "reopened":
            return Reopened(subject, at, left=_status_left(observation))
        case "shipped":
            return Shipped(subject, at)
        case "active":
            return Active(subject, datetime.combine(at.date(), time.min, UTC))
        case _ as never:
            assert_never(never)


def _status_left(observation: Observed) -> str:
    # A ticket that loses its resolution was concluded. The event must reopen it whatever status it left, so return no
    # status.
    unresolved = observation.traits.get("resolution_from") and not observation.traits.get("resolution")
    return "" if unresolved else _status(observation, "status_from")


def _status(observation: Observed, trait: Trait) -> str:
    return next(iter(observation.traits.get(trait, ())), "").lower()
