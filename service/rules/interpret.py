"""Matching: the rules turn observations into lifecycle events and links, and say why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from itertools import islice
from typing import assert_never

from service.deliveries.decoding import shorten
from service.deliveries.observation import (
    Commented,
    Kind,
    Linked,
    Mentioned,
    Nothing,
    Observation,
    Observed,
    Renamed,
    Stated,
    Trait,
)
from service.deliveries.payload import RawPayload
from service.lifecycle.aliases import Alias
from service.lifecycle.events import (
    Active,
    Concluded,
    DeclarationChannel,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Shipped,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.evidence import LinkSet
from service.lifecycle.fields import FIELDS
from service.rules.commands import commands, is_addressed
from service.rules.model import (
    Action,
    Condition,
    Declares,
    Happens,
    Ignores,
    Interpretation,
    Rule,
    Rules,
    Statement,
    Withdraws,
)
from service.rules.patterns import Template, search

_TAKEN_OFF: frozenset[Kind] = frozenset({"unlabelled", "untyped", "superseded"})
WITHOUT_INSTANTS: frozenset[Kind] = frozenset({"seen", *_TAKEN_OFF})
"""Kinds that tell how something is, or what holds no longer, and not what came about: no instant follows from them."""
# What a reason may show of an observation: the project's words, and not what people write freely.
_SHOWN: tuple[Trait, ...] = (
    "label",
    "item_type",
    "reason",
    "status_from",
    "status_to",
    "resolution",
    "workflow",
    "conclusion",
    "environment",
)
_MOST_SHOWN = 10
_MOST_REASONS = 20
_COMMANDED = "command in a comment"
_STATED = "stated"
_STATUSES: tuple[Trait, Trait] = ("status_from", "status_to")
_CHANNELS: Mapping[Trait, DeclarationChannel] = {"label": "label", "item_type": "type", "branch": "branch"}


@dataclass(slots=True)
class _Findings:
    """What is found while the observations of one delivery are gone through."""

    statements: dict[LifecycleEvent, Statement] = field(default_factory=dict)
    """By what they state: what two rules say, the first one has said."""
    links: list[LinkSet] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    matched: list[str] = field(default_factory=list)
    """The rules that said something."""
    missed: list[str] = field(default_factory=list)
    """Why the delivery might not count."""


def interpret(
    rules: Rules, provider: str, observed: Sequence[Observation] | Nothing, payload: RawPayload
) -> Interpretation:
    """What the observations of one delivery mean under the rules, with the verdict on the delivery."""
    if isinstance(observed, Nothing):
        return Interpretation("ignored", observed.reason)
    found = _Findings()
    for observation in observed:
        match observation:
            case Observed():
                _apply(rules, provider, observation, payload, found)
            case Commented():
                _obey(rules, provider, observation, found)
            case Stated(events=events):
                found.statements.update({event: Statement(event, _STATED) for event in events})
                found.matched.append(_STATED)
            case Linked():
                _link(observation, found)
            case Mentioned():
                _mention(rules, observation, found)
            case Renamed(alias=alias):
                found.aliases.append(alias)
                found.matched.append("renamed")
            case _ as never:
                assert_never(never)
    counts = (
        _STATED in found.matched
        or found.aliases
        or any(map(_counts, found.statements))
        or any(map(_serves, found.links))
    )
    matched, missed = (
        joint.join(islice(dict.fromkeys(parts), _MOST_REASONS))
        for joint, parts in ((", ", found.matched), ("; ", found.missed))
    )
    return Interpretation(
        "counted" if counts else "ignored",
        matched if counts else missed or f"by itself this is no experiment: {matched}",
        tuple(found.statements.values()),
        tuple(found.links),
        tuple(found.aliases),
    )


def _counts(event: LifecycleEvent) -> bool:
    """Whether an event makes its delivery count by itself: it marks, or it tells what a pipeline or a person said."""
    match event:
        case Signalled() | Shipped():
            return True
        case Declared(field=stated, channel=channel) | Withdrawn(field=stated, channel=channel):
            return stated == "experiment" or channel in ("comment", "api")
        case Started(commanded=commanded) | Concluded(commanded=commanded) | Reopened(commanded=commanded):
            return commanded
        case Proposed() | Active():
            return False
        case _ as never:
            assert_never(never)


def _serves(link: LinkSet) -> bool:
    """Whether a link says that something serves another; what a change is made of serves nothing but the change."""
    return bool(link.targets - {link.stated_by})


def _apply(rules: Rules, provider: str, observation: Observed, payload: RawPayload, found: _Findings) -> None:
    # The first rule decides on each event and field; where a label is what matched, on what this label says.
    decided: set[tuple[str, str]] = set()
    marked = False
    traits: Mapping[str, str] = {trait: values[0] for trait, values in observation.traits.items() if values}
    for rule in rules.by_kind.get(observation.kind, ()):
        if rule.providers and provider not in rule.providers:
            continue
        matches = _matches(rule, observation, traits)
        if matches and rule.where is not None and not search(rule.where, payload.json):
            found.missed.append(f"the `where` of the rule `{rule.name}` is not true")
            continue
        if matches and any(isinstance(action, Ignores) for action in rule.actions):
            decided.add(("ignored", ""))
            found.missed.append(f"the rule `{rule.name}` ignores it")
            break
        for label, known in matches:
            for action in rule.actions:
                about = (_about(action), label)
                event = None if about in decided else _event(action, rule, observation, label, known, payload)
                if event is not None:
                    decided.add(about)
                    found.statements.setdefault(event, Statement(event, rule.name))
                    found.matched += [] if _is_description(event) else [rule.name]
                    marked = marked or _marks(event)
    if observation.kind == "seen" and not marked:
        found.missed += _why_unmarked(rules, provider, observation)
    elif not decided and observation.kind != "superseded":
        named = ((trait, observation.traits.get(trait, ())) for trait in _SHOWN)
        shown = ", ".join(f"{trait} `{shorten(value)}`" for trait, values in named for value in values[:_MOST_SHOWN])
        found.missed.append(f"no rule matches {observation.kind}{': ' if shown else ''}{shown}")


def _matches(rule: Rule, observation: Observed, traits: Mapping[str, str]) -> list[tuple[str, Mapping[str, str]]]:
    """Each way in which the rule matches: the label that matched, if one did, and what is known by name then."""
    ways = [("", traits)]
    for condition in rule.conditions:
        # Most rules are about something else, and most patterns capture nothing.
        if not (ways and (values := observation.traits.get(condition.trait))):
            return []
        ways = [
            (value if condition.trait == "label" else label, {**known, **captured} if captured else known)
            for label, known in ways
            for value in values
            if (captured := _first_match(condition, value)) is not None
        ]
    return ways


def _first_match(condition: Condition, value: str) -> Mapping[str, str] | None:
    return next((match for pattern in condition.patterns if (match := pattern.match(value)) is not None), None)


def _about(action: Action) -> str:
    """What an action decides on: an event, or a field, of which a derived value is another matter than a stated one."""
    match action:
        case Happens(name=name):
            return name
        case Declares(field=stated, derived=derived):
            return f"derived {stated}" if derived else stated
        case Withdraws(field=stated):
            return stated
        case Ignores():
            return "ignored"
        case _ as never:
            assert_never(never)


def _event(
    action: Action, rule: Rule, observation: Observed, label: str, known: Mapping[str, str], payload: RawPayload
) -> LifecycleEvent | None:
    match action:
        case Happens():
            return None if observation.kind in WITHOUT_INSTANTS else _instant(action, observation)
        case Ignores():
            return None
        case Declares(field=stated, value=template) | Withdraws(field=stated, value=template):
            value = FIELDS[stated].normalise(_filled(template, known, payload))
            return _declaration(action, rule, observation, label.lower(), value) if value is not None else None
        case _ as never:
            assert_never(never)


def _declaration(
    action: Declares | Withdraws, rule: Rule, observation: Observed, label: str, value: str
) -> Declared | Withdrawn | None:
    subject, at, taken_off = observation.subject, observation.at, observation.kind in _TAKEN_OFF
    channel: DeclarationChannel = "derived" if isinstance(action, Declares) and action.derived else _channel(rule)
    said_by = label if channel == "label" else ""
    match action:
        case Withdraws(field=stated):
            return None if taken_off else Withdrawn(subject, at, stated, value, channel, said_by)
        case Declares(field=stated) if taken_off:
            return Withdrawn(subject, at, stated, value, channel, said_by)
        case Declares(field=stated):
            overheard = channel == "label" and observation.kind == "seen"
            return Declared(subject, at, stated, value, channel, overheard, said_by)
        case _ as never:
            assert_never(never)


def _instant(happens: Happens, observation: Observed) -> LifecycleEvent:
    subject, at = observation.subject, observation.at
    left, entered = (_named_status(observation, trait) for trait in _STATUSES)
    if observation.traits.get("resolution_from") and not observation.traits.get("resolution"):
        # What was resolved and is no longer was at its end, whatever its status was called.
        left = ""
    match happens.name:
        case "proposed":
            return Proposed(subject, at)
        case "started":
            return Started(subject, at)
        case "signalled":
            return Signalled(subject, at, happens.result or "success")
        case "concluded":
            return Concluded(subject, at, happens.outcome, status=entered)
        case "reopened":
            return Reopened(subject, at, left=left)
        case "shipped":
            return Shipped(subject, at)
        case "active":
            return Active(subject, datetime.combine(at.date(), time.min, UTC))
        case _ as never:
            assert_never(never)


def _named_status(observation: Observed, trait: Trait) -> str:
    return next(iter(observation.traits.get(trait, ())), "").lower()


def _channel(rule: Rule) -> DeclarationChannel:
    """The channel on which a rule states: that of the trait that it looks at."""
    stated = (_CHANNELS[condition.trait] for condition in rule.conditions if condition.trait in _CHANNELS)
    return next(stated, "item")


def _filled(template: Template, known: Mapping[str, str], payload: RawPayload) -> str:
    return template.fill(known, payload) or ""


def _is_description(event: LifecycleEvent) -> bool:
    """Whether an event only tells what an item is called and where it lives, or that it is there as any other."""
    if isinstance(event, Withdrawn):
        return event.field == "excluded"
    return isinstance(event, Declared) and (event.field in ("title", "url") or event.channel == "derived")


def _marks(event: LifecycleEvent) -> bool:
    return isinstance(event, Declared) and event.field == "experiment"


def _why_unmarked(rules: Rules, provider: str, seen: Observed) -> Iterator[str]:
    """For each trait that could have marked an item, what was looked for and what was there."""
    wanted: dict[Trait, list[str]] = {}
    for rule in rules.by_kind.get("seen", ()):
        marking = any(isinstance(action, Declares) and action.field == "experiment" for action in rule.actions)
        if not marking or (rule.providers and provider not in rule.providers):
            continue
        if "branch" in seen.traits.get("what", ()) and any(one.trait == "label" for one in rule.conditions):
            continue
        failing = [
            condition
            for condition in rule.conditions
            if not any(_first_match(condition, value) is not None for value in seen.traits.get(condition.trait, ()))
        ]
        # A rule that is about something else altogether (changes, say, where this is an item) explains nothing.
        if len(failing) == 1 and (failing[0].trait == "label" or failing[0].trait in seen.traits):
            wanted.setdefault(failing[0].trait, []).extend(pattern.text for pattern in failing[0].patterns)
    for trait, patterns in wanted.items():
        looked_for = " or ".join(f"`{pattern}`" for pattern in patterns)
        there = ", ".join(shorten(value) for value in seen.traits.get(trait, ())[:_MOST_SHOWN])
        if trait == "label":
            yield f"no label {looked_for}; " + (f"labels were {there}" if there else "it has no labels")
        elif trait == "item_type":
            yield f"its type {there} is not {looked_for}"
        elif trait != "what":
            # Branches and titles carry people's names, which no reason may.
            yield f"its {trait} is not {looked_for}"


def _obey(rules: Rules, provider: str, comment: Commented, found: _Findings) -> None:
    if not is_addressed(comment.text):
        found.missed.append("the comment holds no command")
    elif comment.insider is False:
        found.missed.append("commands are taken from members, owners and collaborators only")
    elif comment.insider is None and provider.lower() not in rules.trust_comments:
        found.missed.append(f"{provider} does not say who may command, and trust_comments does not name it")
    elif said := commands(comment):
        found.statements.update({event: Statement(event, _COMMANDED) for event in said})
        found.matched.append(_COMMANDED)
    else:
        found.missed.append("what follows /experiment in the comment is no command")


def _mention(rules: Rules, mentioned: Mentioned, found: _Findings) -> None:
    subject = mentioned.subject
    targets = rules.keys.find(mentioned.text) - {subject}
    # What is said of a commit is never taken back, so a text without a key says nothing.
    if targets or not subject.startswith("commit:"):
        _link(Linked(subject, mentioned.channel, subject, targets, mentioned.at), found)
    else:
        found.missed.append(f"its {mentioned.channel} names no ticket")


def _link(linked: Linked, found: _Findings) -> None:
    found.links.append(LinkSet(linked.evidence, linked.channel, linked.stated_by, linked.targets, linked.at))
    if linked.targets - {linked.stated_by}:
        found.matched.append(f"linked by {linked.channel}")
    elif linked.channel == "body":
        found.missed.append("its body closes no item")
