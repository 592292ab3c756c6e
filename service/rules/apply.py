"""Apply the rules: turn the observations of a delivery into lifecycle events, links, and a verdict with its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import assert_never

from service.deliveries.observation import (
    Commented,
    Linked,
    Mentioned,
    Nothing,
    Observation,
    Observed,
    Renamed,
    Stated,
)
from service.deliveries.payload import RawPayload
from service.lifecycle.aliases import Alias
from service.lifecycle.events import (
    Active,
    Concluded,
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
from service.rules.actions import decision_of, make_event
from service.rules.commands import contains_command, parse_commands
from service.rules.matching import explain_no_match, explain_unmarked, find_matches, known_values
from service.rules.model import IgnoreAction, Interpretation, Rules, Statement
from service.rules.patterns import search

_MOST_REASONS = 20
_COMMANDED = "command in a comment"
_STATED = "stated"


@dataclass(slots=True)
class _Findings:
    """The results of applying the rules to the observations of one delivery.

    Attributes:
        statements: the statements by event; if two rules produce the same event, the first rule's statement is kept.
        matched: the reasons to show if the delivery counts: the names of the rules that matched, and texts such as
            `renamed` and `linked by body`. A rule is left out if all its events only describe an item (see
            `_is_description`).
        missed: the reasons to show if the delivery does not count.
    """

    statements: dict[LifecycleEvent, Statement] = field(default_factory=dict)
    links: list[LinkSet] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    matched: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def add(self, events: Iterable[LifecycleEvent], rule: str) -> None:
        """Add events that no rule produced; `rule` is the text to show in place of a rule."""
        self.statements.update({event: Statement(event, rule) for event in events})
        self.matched.append(rule)


def apply_rules(
    rules: Rules, provider: str, observed: Sequence[Observation] | Nothing, payload: RawPayload
) -> Interpretation:
    """Apply the rules to the observations of one delivery."""
    if isinstance(observed, Nothing):
        return Interpretation("ignored", observed.reason)
    findings = _Findings()
    for observation in observed:
        match observation:
            case Observed():
                _apply_to_observation(rules, provider, observation, payload, findings)
            case Commented():
                _apply_commands(rules, provider, observation, findings)
            case Stated(events=events):
                findings.add(events, _STATED)
            case Linked():
                _add_link(observation, findings)
            case Mentioned():
                _link_mentioned_tickets(rules, observation, findings)
            case Renamed(alias=alias):
                findings.aliases.append(alias)
                findings.matched.append("renamed")
            case _ as never:
                assert_never(never)
    return _conclude(findings)


def _conclude(findings: _Findings) -> Interpretation:
    counts = (
        _STATED in findings.matched
        or findings.aliases
        or any(map(_counts, findings.statements))
        or any(map(_links_another, findings.links))
    )
    matched, missed = _join(", ", findings.matched), _join("; ", findings.missed)
    return Interpretation(
        "counted" if counts else "ignored",
        matched if counts else missed or f"nothing in this delivery marks an experiment: {matched}",
        tuple(findings.statements.values()),
        tuple(findings.links),
        tuple(findings.aliases),
    )


def _join(separator: str, parts: Iterable[str]) -> str:
    return separator.join(islice(dict.fromkeys(parts), _MOST_REASONS))


def _counts(event: LifecycleEvent) -> bool:
    """Whether an event makes its delivery count.

    An event counts if it reports a result or a deployment, marks or unmarks an experiment, or comes from a command or
    the API.
    """
    match event:
        case Signalled() | Shipped():
            return True
        case Declared(field=name, channel=channel) | Withdrawn(field=name, channel=channel):
            return name == "experiment" or channel in ("comment", "api")
        case Started(commanded=commanded) | Concluded(commanded=commanded) | Reopened(commanded=commanded):
            return commanded
        case Proposed() | Active():
            return False
        case _ as never:
            assert_never(never)


def _links_another(link: LinkSet) -> bool:
    """Whether a link has a target other than the subject that states it.

    For example, a pull request states the links from its commits to itself. These links have no other target.
    """
    return bool(link.targets - {link.stated_by})


def _apply_to_observation(
    rules: Rules, provider: str, observation: Observed, payload: RawPayload, findings: _Findings
) -> None:
    # If several rules match and produce the same event, or set the same field, only the first of them takes effect. Two
    # rules that match different labels do not compete: both take effect.
    decided: set[tuple[str, str]] = set()
    marked = False
    known = known_values(observation)
    for rule in rules.candidates(provider, observation.kind):
        matches = find_matches(rule, observation, known)
        if matches and rule.where is not None and not search(rule.where, payload.json):
            findings.missed.append(f"the `where` of the rule `{rule.name}` is not true")
            continue
        if matches and any(isinstance(action, IgnoreAction) for action in rule.actions):
            decided.add(("ignored", ""))
            findings.missed.append(f"the rule `{rule.name}` ignores it")
            break
        for label, captured in matches:
            for action in rule.actions:
                decision = (decision_of(action), label)
                if decision in decided:
                    continue
                event = make_event(action, rule, observation, label, captured, payload)
                if event is not None:
                    decided.add(decision)
                    findings.statements.setdefault(event, Statement(event, rule.name))
                    findings.matched += [] if _is_description(event) else [rule.name]
                    marked = marked or _is_mark(event)
    if observation.kind == "seen" and not marked:
        findings.missed += explain_unmarked(rules, provider, observation)
    elif not decided and observation.kind != "superseded":
        findings.missed.append(explain_no_match(observation))


def _is_description(event: LifecycleEvent) -> bool:
    """Whether an event only describes an item: it states a title, URL or derived value, or withdraws an exclusion."""
    if isinstance(event, Withdrawn):
        return event.field == "excluded"
    return isinstance(event, Declared) and (event.field in ("title", "url") or event.channel == "derived")


def _is_mark(event: LifecycleEvent) -> bool:
    return isinstance(event, Declared) and event.field == "experiment"


def _apply_commands(rules: Rules, provider: str, comment: Commented, findings: _Findings) -> None:
    if not contains_command(comment.text):
        findings.missed.append("the comment contains no command")
    elif comment.insider is False:
        findings.missed.append("only members, owners and collaborators may give commands")
    elif comment.insider is None and provider.lower() not in rules.trust_comments:
        findings.missed.append(
            f"{provider} does not tell whether the author may give commands, and trust_comments omits {provider}"
        )
    elif events := parse_commands(comment):
        findings.add(events, _COMMANDED)
    else:
        findings.missed.append("the text after /experiment in the comment is not a command")


def _link_mentioned_tickets(rules: Rules, mentioned: Mentioned, findings: _Findings) -> None:
    subject = mentioned.subject
    targets = rules.keys.find(mentioned.text) - {subject}
    # A commit never changes, so if its text names no ticket, there is no earlier link to withdraw.
    if targets or not subject.startswith("commit:"):
        _add_link(Linked(subject, mentioned.channel, subject, targets, mentioned.at), findings)
    else:
        findings.missed.append(f"its {mentioned.channel} names no ticket")


def _add_link(linked: Linked, findings: _Findings) -> None:
    findings.links.append(LinkSet(linked.evidence, linked.channel, linked.stated_by, linked.targets, linked.at))
    if linked.targets - {linked.stated_by}:
        findings.matched.append(f"linked by {linked.channel}")
    elif linked.channel == "body":
        findings.missed.append("its body closes no item")
