"""The default rules: labels, branches and closings as most teams use them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from service.lifecycle.events import (
    Concluded,
    Declared,
    Field,
    LifecycleEvent,
    Proposed,
    Reopened,
    Result,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.evidence import LinkSet, Ref
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.observation import ChangeSeen, ItemChanged, ItemSeen, LabelChanged, Nothing, Observation, RunFinished
from service.rules.model import Interpretation

_EXPERIMENT_LABEL = "experiment"
_STARTED_LABEL = "experiment:started"
_SHARED_LABEL = "learning:shared"
_EXPERIMENT_BRANCHES = ("exp/", "experiment/")
_PREFIXED_LABELS: Mapping[str, tuple[Field, frozenset[str]]] = {
    "outcome": ("outcome", frozenset(Outcome) - {Outcome.UNDECLARED}),
    "failure": ("failure_category", frozenset(FailureCategory) - {FailureCategory.UNCLASSIFIED}),
    "risk": ("risk", frozenset(Risk)),
}
_SIGNALS: Mapping[str, Result] = {"success": "success", "failure": "failure", "timed_out": "failure"}


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What one observation means; `matched` and `missed` say why, for the verdict."""

    events: Sequence[LifecycleEvent] = ()
    links: Sequence[LinkSet] = ()
    matched: Sequence[str] = ()
    missed: Sequence[str] = ()


def interpret(observed: Sequence[Observation] | Nothing) -> Interpretation:
    """The lifecycle events and links that observations of one delivery mean, with the verdict on the delivery."""
    if isinstance(observed, Nothing):
        return Interpretation("ignored", observed.reason)
    meanings = [_meaning(observation) for observation in observed]
    matched = [rule for meaning in meanings for rule in meaning.matched]
    missed = [reason for meaning in meanings for reason in meaning.missed]
    return Interpretation(
        "counted" if matched else "ignored",
        ", ".join(matched) or "; ".join(missed),
        tuple(event for meaning in meanings for event in meaning.events),
        tuple(link for meaning in meanings for link in meaning.links),
    )


def _meaning(observation: Observation) -> _Meaning:
    match observation:
        case ItemSeen():
            return _item_seen(observation)
        case ChangeSeen():
            return _change_seen(observation)
        case ItemChanged():
            return _Meaning(_changed(observation))
        case LabelChanged():
            return _label_changed(observation)
        case RunFinished():
            return _run_finished(observation)
        case _ as never:
            assert_never(never)


def _item_seen(seen: ItemSeen) -> _Meaning:
    """How the item looks: its title and address, the team that its place suggests, and each label that hangs there."""
    subject, at = seen.subject, seen.seen_at
    named: list[tuple[Field, str]] = [("title", seen.title), ("url", seen.url)]
    stated = [statement for label in seen.labels if (statement := _stated_by_label(label)) is not None]
    events = [
        *(Declared(subject, at, field, value, channel="item") for field, value in named if value),
        Declared(subject, at, "team", seen.project.lower(), channel="derived"),
        *(Declared(subject, at, field, value, channel="label", overheard=True) for field, value in stated),
    ]
    if ("experiment", "true") in stated:
        return _Meaning(events, matched=["experiment by label"])
    hanging = f"labels were {', '.join(seen.labels)}" if seen.labels else "it has no labels"
    return _Meaning(events, missed=[f"no label `{_EXPERIMENT_LABEL}`; {hanging}"])


def _change_seen(seen: ChangeSeen) -> _Meaning:
    """What the change serves, what serves the change, and whether its branch makes it an experiment."""

    def stated(evidence: Ref, channel: str, targets: Iterable[Ref]) -> LinkSet:
        return LinkSet(evidence, channel, seen.subject, frozenset(targets), seen.seen_at)

    commits = [stated(commit, "commit", [seen.subject]) for commit in seen.commits]
    links = [stated(seen.subject, "body", seen.closes), *commits]
    matched, missed = [], []
    if seen.closes:
        matched.append("linked by closing keyword")
    else:
        missed.append("its body closes no item")
    if not seen.branch.lower().startswith(_EXPERIMENT_BRANCHES):
        missed.append(f"branch `{seen.branch}` does not begin with {' or '.join(_EXPERIMENT_BRANCHES)}")
        return _Meaning(links=links, matched=matched, missed=missed)
    marked = Declared(seen.subject, seen.seen_at, "experiment", "true", channel="branch")
    return _Meaning([marked], links, matched=["experiment by branch", *matched], missed=missed)


def _label_changed(changed: LabelChanged) -> _Meaning:
    if changed.label.lower() == _STARTED_LABEL:
        return _Meaning([Started(changed.subject, changed.at)] if changed.added else [])
    stated = _stated_by_label(changed.label)
    if stated is None:
        return _Meaning()
    if changed.added:
        return _Meaning([Declared(changed.subject, changed.at, *stated, channel="label")])
    # That a mark is there is told by the labels that the payload shows; that one is gone is told here alone.
    unmarked = ["experiment un-marked by label"] if stated == ("experiment", "true") else []
    return _Meaning([Withdrawn(changed.subject, changed.at, *stated, channel="label")], matched=unmarked)


def _run_finished(run: RunFinished) -> _Meaning:
    result = _SIGNALS.get(run.conclusion.lower())
    if result is not None:
        return _Meaning([Signalled(run.subject, run.at, result)], matched=["signalled by a run"])
    ended = f"with `{run.conclusion}`" if run.conclusion else "without a conclusion"
    return _Meaning(missed=[f"a run that ended {ended} is no signal; {', '.join(_SIGNALS)} are"])


def _stated_by_label(label: str) -> tuple[Field, str] | None:
    """The field and value that a label states, or None where it states nothing that we know."""
    label = label.lower()
    if label == _EXPERIMENT_LABEL:
        return "experiment", "true"
    if label == _SHARED_LABEL:
        return "shared", "true"
    prefix, _, value = label.partition(":")
    value = value.strip()
    if prefix == "team":
        # Names that begin with an underscore are ours, for the organisation and for the rest.
        return ("team", value) if value and not value.startswith("_") else None
    field, allowed = _PREFIXED_LABELS.get(prefix, (None, frozenset[str]()))
    return (field, value) if field is not None and value in allowed else None


def _changed(changed: ItemChanged) -> list[LifecycleEvent]:
    subject, at = changed.subject, changed.at
    match changed.happened:
        case "created":
            # A change that is opened is also the start of the item that it serves.
            return [Proposed(subject, at), Started(subject, at)] if changed.is_change else [Proposed(subject, at)]
        case "assigned":
            return [Started(subject, at)]
        case "closed":
            return [Concluded(subject, at, None)]
        case "not planned":
            return [Concluded(subject, at, Outcome.ABANDONED)]
        case "merged":
            return [Concluded(subject, at, Outcome.WORKED)]
        case "duplicate":
            return [Concluded(subject, at, None), Declared(subject, at, "excluded", "duplicate", channel="item")]
        case "reopened":
            # The same act takes back that it was a duplicate.
            return [Reopened(subject, at), Withdrawn(subject, at, "excluded", "duplicate", channel="item")]
        case _ as never:
            assert_never(never)
