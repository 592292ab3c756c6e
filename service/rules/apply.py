"""Apply the rules: turn the observations of a delivery into lifecycle events, links, and a verdict with its reason."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import assert_never

from service.deliveries.observation import (
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
from service.deliveries.payload import RawPayload
from service.lifecycle.aliases import Alias
from service.lifecycle.containers import is_container
from service.lifecycle.events import (
    Active,
    Concluded,
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
from service.lifecycle.evidence import LinkSet
from service.lifecycle.pushes import Push
from service.lifecycle.references import Ref, split_project
from service.lifecycle.trust import projects_of
from service.rules.actions import decision_of, make_event, make_shown, refuse_label
from service.rules.commands import parse_commands
from service.rules.matching import explain_no_match, explain_unmarked, find_matches, known_values
from service.rules.model import IgnoreAction, Interpretation, Rules, Statement
from service.rules.outsiders import OUTSIDERS, confine, find_outsiders, keep_branches, state_outsider, widen
from service.rules.patterns import find
from service.rules.references import KeyFinder

_MOST_REASONS = 20
COMMANDED = "command in a comment"
"""The text that events of commands show in place of a rule."""
STATED = "stated"
"""The text that events of CloudEvents show in place of a rule."""
BY_HAND = "by hand"
"""The text that replaces the rule of an event that a person added, with a command of `loopgauge` or with the API."""
_LOOSE = "a link if the tracker sends deliveries about that project"
_REFUSED = "refused"
_DELETED = "the deletion of a comment takes no command back; give another command in a new comment, such as reopen"
_OF_PRIVATE_MEMBERS = ("CONTRIBUTOR", "NONE")
_SHOWN = "shown"


@dataclass(slots=True)
class _Findings:
    """The results of applying the rules to the observations of one delivery.

    Attributes:
        statements: the statements by event; if two rules produce the same event, the first rule's statement is kept.
        matched: the reasons to show if the delivery counts: the names of the rules that matched, and texts such as
            `renamed` and `linked by body`. A rule is left out if all its events only describe an item (see
            `_is_description`).
        missed: the reasons to show if the delivery does not count.
        links_another: whether a link has a target other than the subject that states it.
        refused: the reasons why commands and labels have no effect. The delivery shows them whether it counts or not.
    """

    statements: dict[LifecycleEvent, Statement] = field(default_factory=dict)
    links: list[LinkSet] = field(default_factory=list)
    links_another: bool = False
    aliases: list[Alias] = field(default_factory=list)
    identities: list[Identified] = field(default_factory=list)
    pushes: list[Push] = field(default_factory=list)
    matched: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, events: Iterable[LifecycleEvent], rule: str) -> None:
        """Add events that no rule produced; `rule` is the text to show in place of a rule."""
        self.statements.update({event: Statement(event, rule) for event in events})
        self.matched.append(rule)

    def record(self, observation: Looked | Renamed | Identified | Pushed) -> None:
        """Add what no rule decides about. Only a rename makes its delivery count."""
        match observation:
            case Looked():
                shown = make_shown(observation)
                self.statements.setdefault(shown, Statement(shown, _SHOWN))
            case Renamed(alias=alias):
                self.aliases.append(alias)
                self.matched.append("renamed")
            case Identified():
                self.identities.append(observation)
            case Pushed(push=push):
                self.pushes.append(push)
                self.missed.append("commits alone mark no experiment")
            case _ as never:
                assert_never(never)

    def refuse(self, refusal: Refused) -> None:
        """Add the reason why a command or label has no effect. The removal of a refused label needs no reason."""
        self.statements.setdefault(refusal, Statement(refusal, _REFUSED))
        self.refused += [] if refusal.removed else [refusal.reason]

    def refuse_link(self, outsider: Outsider, channel: str) -> None:
        """Add the reason why a link of an outsider has no effect.

        A refusal of the link is stored for a change. For a commit, only the reason of the delivery has it.
        """
        reason = f"its {channel} links to another project, but an outsider wrote it"
        if projects_of([outsider.subject]):
            self.refuse(Refused(outsider.subject, outsider.since, "link", reason))
        else:
            self.refused.append(reason)


def apply_rules(
    rules: Rules, provider: str, observed: Sequence[Observation] | Nothing, payload: RawPayload
) -> Interpretation:
    """Apply the rules to the observations of one delivery."""
    if isinstance(observed, Nothing):
        return Interpretation("ignored", observed.reason, identities=observed.identities)
    findings = _Findings()
    outsiders = find_outsiders(rules, provider, observed)
    for observation in keep_branches(observed, outsiders):
        match observation:
            case Outsider(subject=subject):
                findings.statements.update(
                    {event: Statement(event, OUTSIDERS) for event in state_outsider(outsiders.get(subject))}
                )
            case Observed():
                _apply_to_observation(rules, provider, observation, payload, findings)
            case Commented():
                _apply_commands(rules, provider, observation, findings)
            case Stated(events=events, unread=unread, by_hand=by_hand):
                findings.add(events, BY_HAND if by_hand else STATED)
                findings.refused += unread
            case Linked(stated_by=subject):
                _add_link(observation, findings, rules, outsiders.get(subject))
            case Mentioned(subject=subject):
                _link_mentioned_tickets(rules, observation, findings, outsiders.get(subject))
            case Looked() | Renamed() | Identified() | Pushed():
                findings.record(observation)
            case _ as never:
                assert_never(never)
    return _conclude(findings)


def _conclude(findings: _Findings) -> Interpretation:
    counts = (
        not {STATED, BY_HAND}.isdisjoint(findings.matched)
        or findings.aliases
        or any(map(_counts, findings.statements))
        or findings.links_another
    )
    matched, missed = _join(", ", findings.matched), _join("; ", findings.missed)
    refused = _join("; ", (f"refused: {reason}" for reason in findings.refused))
    reason = (
        matched if counts else missed or ("" if refused else f"nothing in this delivery marks an experiment: {matched}")
    )
    # A refusal is the likely reason why a delivery is ignored, so it comes first.
    reasons = (reason, refused) if counts else (refused, reason)
    return Interpretation(
        "counted" if counts else "ignored",
        "; ".join(filter(None, reasons)),
        tuple(findings.statements.values()),
        tuple(findings.links),
        tuple(findings.aliases),
        tuple(findings.identities),
        tuple(findings.pushes),
    )


def _join(separator: str, parts: Iterable[str]) -> str:
    return separator.join(islice(dict.fromkeys(parts), _MOST_REASONS))


def _counts(event: LifecycleEvent) -> bool:
    """Whether an event makes its delivery count.

    An event counts if it reports a result or a deployment, marks or unmarks an experiment, comes from a command or the
    API, or is about a whole project or group.
    """
    match event:
        case Signalled() | Shipped():
            return True
        case Declared(field=name, channel=channel) | Withdrawn(field=name, channel=channel):
            is_end = name == "excluded" and is_container(event.subject)
            return name == "experiment" or channel in ("comment", "api") or is_end
        case Started(commanded=commanded) | Concluded(commanded=commanded) | Reopened(commanded=commanded):
            return commanded
        case Proposed() | Active() | Refused() | Shown():
            return False
        case _ as never:
            assert_never(never)


def _names_another(stated_by: Ref, targets: frozenset[Ref], keys: KeyFinder) -> bool:
    """Whether a link has a target other than the subject that states it, and other than keys in small letters.

    For example, a pull request states the links from its commits to itself. These links have no other target.
    """
    return any(target != stated_by and not keys.is_loose(target) for target in targets)


@dataclass(slots=True)
class _Decisions:
    """The decisions of rules about one observation.

    If several rules match and produce the same event, or set the same field, only the first of them takes effect. Two
    rules that match different labels do not compete: both take effect.

    Attributes:
        decided: the names of decisions, each with the label that matched.
        refused: by decision, the refusal of the first rule that matched a label but could not use its value. A later
            rule may still accept the label.
        marked: whether a rule marks the subject as an experiment.
    """

    decided: set[tuple[str, str]] = field(default_factory=set)
    refused: dict[tuple[str, str], Refused] = field(default_factory=dict)
    marked: bool = False

    def take(self, decision: tuple[str, str], event: LifecycleEvent, rule: str, findings: _Findings) -> None:
        """Record the event of a rule's action."""
        if isinstance(event, Refused):
            self.refused.setdefault(decision, event)
            return
        self.decided.add(decision)
        findings.statements.setdefault(event, Statement(event, rule))
        findings.matched += [] if _is_description(event) else [_matched(event, rule)]
        self.marked = self.marked or _is_mark(event)

    def refuse_misspelt(self, rules: Rules, provider: str, observation: Observed) -> None:
        """Record the labels that no rule reads, but that are near a label that a rule reads."""
        for label in observation.traits.get("label", ()):
            if why := rules.labels.explain(provider, label):
                self.refused[("misspelt", label)] = refuse_label(observation, label, why)

    @property
    def explained(self) -> bool:
        """Whether a refused label gives the reason of the observation. A label that was removed gives none."""
        return not all(refusal.removed for refusal in self.refusals())

    def refusals(self) -> list[Refused]:
        """The refusals of labels that no rule accepts."""
        return [refusal for decision, refusal in self.refused.items() if decision not in self.decided]


def _apply_to_observation(
    rules: Rules, provider: str, observation: Observed, payload: RawPayload, findings: _Findings
) -> None:
    decisions = _Decisions()
    known = known_values(observation)
    for rule in rules.candidates(provider, observation.kind):
        matches = find_matches(rule, observation, known)
        if matches and rule.where is not None and not find(rule.where, payload):
            findings.missed.append(f"the `where` of the rule `{rule.name}` is not true")
            continue
        if matches and any(isinstance(action, IgnoreAction) for action in rule.actions):
            decisions.decided.add(("ignored", ""))
            findings.missed.append(f"the rule `{rule.name}` ignores it")
            break
        for label, captured in matches:
            for action in rule.actions:
                decision = (decision_of(action), label)
                if decision in decisions.decided:
                    continue
                event = make_event(action, rule, observation, label, captured, payload)
                if event is not None:
                    decisions.take(decision, event, rule.name, findings)
    if ("ignored", "") not in decisions.decided:
        decisions.refuse_misspelt(rules, provider, observation)
    findings.missed += _explain(rules, provider, observation, decisions)
    for refusal in decisions.refusals():
        findings.refuse(refusal)


def _explain(rules: Rules, provider: str, observation: Observed, decisions: _Decisions) -> Iterator[str]:
    """The reasons to show if the delivery does not count."""
    if observation.kind == "seen" and not decisions.marked:
        yield from explain_unmarked(rules, provider, observation)
    elif not decisions.decided and observation.kind != "superseded" and not decisions.explained:
        yield explain_no_match(observation)


def _is_description(event: LifecycleEvent) -> bool:
    """Whether an event only describes an item: it states a title, URL or derived value, or withdraws an exclusion."""
    if isinstance(event, Withdrawn):
        return event.field == "excluded" and not is_container(event.subject)
    return isinstance(event, Declared) and (event.field in ("title", "url") or event.channel == "derived")


def _matched(event: LifecycleEvent, rule: str) -> str:
    """The reason to show for an event of a rule. It says so if the event takes a value away."""
    match event:
        case Withdrawn(field="experiment"):
            return f"no longer marked as an experiment ({rule})"
        case Withdrawn(field=name):
            return f"{name} withdrawn ({rule})"
        case _:
            return rule


def _is_mark(event: LifecycleEvent) -> bool:
    return isinstance(event, Declared) and event.field == "experiment"


def _apply_commands(rules: Rules, provider: str, comment: Commented, findings: _Findings) -> None:
    commands = parse_commands(comment)
    if not commands:
        findings.missed.append("the comment contains no command")
    elif comment.edited:
        _refuse_edit(comment, findings)
    elif comment.deleted:
        if not _find_objection(rules, provider, comment) and any(command.events for command in commands):
            findings.refuse(Refused(comment.subject, comment.at, "comment", _DELETED))
    elif why := _find_objection(rules, provider, comment):
        findings.refuse(Refused(comment.subject, comment.at, "comment", why))
    else:
        across = rules.trusted_from(split_project(comment.subject)[0])
        for command in commands:
            if command.refusal:
                findings.refuse(Refused(comment.subject, comment.at, "comment", command.refusal))
            else:
                findings.add(widen(command.events, across), COMMANDED)


def _refuse_edit(comment: Commented, findings: _Findings) -> None:
    """Refuse the commands of an edit. The commands that the comment had before the edit are no news."""
    why = "the edit of a comment gives no command; write the command in a new comment"
    if comment.earlier is None:
        why = f"if the comment got its command by this edit, it has no effect: {why}"
        findings.refuse(Refused(comment.subject, comment.at, "comment", why))
        return
    before = parse_commands(replace(comment, text=comment.earlier))
    if any(command.line not in {one.line for one in before} for command in parse_commands(comment)):
        findings.refuse(Refused(comment.subject, comment.at, "comment", why))
    else:
        findings.missed.append("the edit adds no command")


def _find_objection(rules: Rules, provider: str, comment: Commented) -> str:
    """Say why no command of a comment counts, or return an empty text."""
    if comment.insider is False:
        return f"only members, owners and collaborators may give commands{_name_association(comment.association)}"
    if comment.insider is None and provider.lower() not in rules.trust_comments:
        return (
            f"{provider} does not tell whether the author may give commands; add `trust_comments: [{provider}]` to the "
            "rules file, or use a label"
        )
    return ""


def _name_association(association: str) -> str:
    if not association:
        return "; the payload does not tell the author's association"
    arrives = f", and the author of this one arrives as {association}"
    if association not in _OF_PRIVATE_MEMBERS:
        return arrives
    private = "GitHub reports private members of an organisation as CONTRIBUTOR or NONE"
    return f"{arrives}; {private}, so make the membership public, or add the author as a collaborator"


def _link_mentioned_tickets(
    rules: Rules, mentioned: Mentioned, findings: _Findings, outsider: Outsider | None = None
) -> None:
    subject = mentioned.subject
    targets = rules.keys.find(mentioned.text) - {subject}
    # Only the first line of a message is searched for keys in small letters, because many words look like such a key.
    first_line = mentioned.text.partition("\n")[0]
    loose = frozenset() if outsider else rules.keys.find_loose(first_line) - {subject}
    if loose:
        findings.missed.append(f"its {mentioned.channel} may name a ticket in small letters: {_LOOSE}")
    # A commit never changes, so if its text names no ticket, there is no earlier link to withdraw.
    if targets or loose or not subject.startswith("commit:"):
        _add_link(Linked(subject, mentioned.channel, subject, targets | loose, mentioned.at), findings, rules, outsider)
    else:
        findings.missed.append(f"its {mentioned.channel} names no ticket")


def _add_link(linked: Linked, findings: _Findings, rules: Rules, outsider: Outsider | None = None) -> None:
    targets = linked.targets
    if outsider is not None:
        targets = confine(linked.stated_by, targets)
        if targets != linked.targets:
            findings.refuse_link(outsider, linked.channel)
            if linked.evidence.startswith("commit:") and not targets:
                return
    findings.links.append(LinkSet(linked.evidence, linked.channel, linked.stated_by, targets, linked.at))
    if _names_another(linked.stated_by, targets, rules.keys):
        findings.matched.append(f"linked by {linked.channel}")
        findings.links_another = True
    elif linked.channel == "body":
        findings.missed.append(linked.remark or "its body closes no item")
