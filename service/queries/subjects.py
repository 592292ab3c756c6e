"""Find the subject that a person means by an id, a reference, an address, a short form or a hash."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeAlias
from uuid import UUID

from service.lifecycle.aliases import Aliases
from service.lifecycle.declarations import declarations_in, value_of
from service.lifecycle.errors import AmbiguousReference, Candidate, UnknownSubject
from service.lifecycle.nearest import suggest
from service.lifecycle.readings import Reading, abbreviated_hash, unwrap
from service.lifecycle.references import Ref, experiment_id, join_project, split_project
from service.providers import REFERENCES
from service.storage import aliases, events, experiments, subjects
from service.storage.database import Connection, Database

_Select: TypeAlias = Callable[[Connection, Collection[Ref]], Awaitable[set[Ref]]]
_ADVICE = (
    "if a delivery about it has just been sent, try again in a moment; "
    "`loopgauge deliveries list` and GET /deliveries show the status of each delivery"
)


async def find_subject(database: Database, named: str) -> Ref:
    """Find the root of the experiment whose id is `named`, or else the subject that `named` means.

    Raises:
        UnknownSubject: no experiment has this id or address, or nothing is stored about any reading of the text. A
            text that is a reference is returned even if nothing is stored about it.
        AmbiguousReference: `named` means several stored subjects.
        BadReference: `named` has none of the accepted forms.
    """
    async with database.read_transaction() as connection:
        return await find_in(connection, named)


async def find_in(connection: Connection, named: str, *, is_new: bool = False) -> Ref:
    """Like `find_subject`, within a transaction.

    Args:
        is_new: whether to return a subject about which nothing is stored, if the text means only this subject, and
            the subject has a form that an event may name.
    """
    if (experiment := experiment_named(named)) is not None:
        root = await experiments.root_of(connection, experiment)
        if root is None:
            raise UnknownSubject(unknown_id(named))
        return root
    reading = REFERENCES.read(named)
    names = await aliases.read_all(connection)
    if reading.is_reference and not abbreviated_hash(reading.first[0]) and not is_new:
        return await _choose(connection, reading.first[0], names)
    found = await _search(connection, reading, names)
    if len(found) > 1:
        raise AmbiguousReference(reading.text, [await _describe(connection, subject, names) for subject in found])
    if not found and not (len(reading.first) == 1 and (is_new or reading.is_reference)):
        raise UnknownSubject(await _describe_absence(connection, reading))
    if is_new and not found:
        REFERENCES.check_form(reading.first[0])
    return found[0] if found else await _choose(connection, reading.first[0], names)


def experiment_named(named: str) -> UUID | None:
    """The id of an experiment, if the text is an id."""
    try:
        return UUID(unwrap(named.strip()))
    except ValueError:
        return None


def unknown_id(named: str) -> str:
    """The message about an id that no experiment has."""
    return f"there is no experiment {named}; a renamed experiment has another id: look it up by its reference"


async def _search(connection: Connection, reading: Reading, names: Aliases) -> list[Ref]:
    """The subjects that the text means.

    If a reading of an address is an experiment with this address, the text means this experiment. If only another
    experiment has the address, the text means that experiment and the known readings.
    """
    known = await _read_known(connection, reading, names)
    address = reading.address
    if address is None:
        return known
    exact = await _at_address(connection, address.spellings)
    loose = await _at_address(connection, address.loose_spellings) if not exact and len(known) != 1 else []
    settled = [subject for subject in exact or loose if subject in known]
    return settled or sorted({*known, *exact}) or loose


async def _read_known(connection: Connection, reading: Reading, names: Aliases) -> list[Ref]:
    """The known subjects among the readings: those that are stored or, if there are none, those that a link names."""
    first = await _expand(connection, reading.first)
    selections: tuple[_Select, ...] = (subjects.select_stored, subjects.select_linked)
    for select in selections:
        if found := await _known(connection, select, first, reading.others, names):
            return found
    return []


async def _expand(connection: Connection, references: Sequence[Ref]) -> list[Ref]:
    """The references, with the known commits instead of an abbreviated hash."""
    expanded: list[Ref] = []
    for reference in references:
        commits = await subjects.commits_beginning(connection, reference) if abbreviated_hash(reference) else []
        expanded += commits or [reference]
    return expanded


async def _at_address(connection: Connection, spellings: Sequence[str]) -> list[Ref]:
    by_address = await subjects.roots_by_address(connection, spellings) if spellings else {}
    return next((sorted(by_address[spelled]) for spelled in spellings if spelled in by_address), [])


async def _known(
    connection: Connection, select: _Select, first: Sequence[Ref], others: Sequence[Ref], names: Aliases
) -> list[Ref]:
    """The subjects that `select` finds among the first readings or, if there are none, the first of the others."""
    selected = await _select_known(connection, select, {*first, *others}, names)
    meant = {one for subject in first for one in _preferred(subject, selected, names)}
    instead = [canonical for subject in others if (canonical := names.canonical(subject)) in selected]
    return sorted(meant) if meant else instead[:1]


def _preferred(reference: Ref, known: Collection[Ref], names: Aliases) -> frozenset[Ref]:
    """The known subjects that a reference means: those that it means now or, if none is known, that it meant before."""
    return frozenset(names.meanings(reference)).intersection(known) or names.subjects(reference).intersection(known)


async def _select_known(
    connection: Connection, select: _Select, references: Collection[Ref], names: Aliases
) -> set[Ref]:
    """The canonical names of the subjects that references mean at some time, and of which `select` finds a name.

    A name that several subjects share does not count.
    """
    meanings = frozenset[Ref]().union(*map(names.subjects, references))
    by_name = {name: one for one in meanings for name in names.names(one) if names.canonical(name) == one}
    return {by_name[name] for name in await select(connection, by_name.keys())}


async def _choose(connection: Connection, reference: Ref, names: Aliases) -> Ref:
    """The subject that a reference means. If its name is contested, the only one that is stored.

    Raises:
        AmbiguousReference: the reference means several subjects.
    """
    if not names.is_contested(reference):
        return reference
    known = await _select_known(connection, subjects.select_stored, [reference], names)
    preferred = _preferred(reference, known, names) or names.meanings(reference)
    if len(preferred) > 1:
        described = [await _describe(connection, one, names) for one in sorted(preferred)]
        raise AmbiguousReference(reference, described)
    return next(iter(preferred))


async def _describe(connection: Connection, subject: Ref, names: Aliases) -> Candidate:
    experiment = experiment_id(subject)
    if stored := (await experiments.read(connection, [experiment])).get(experiment):
        return Candidate(subject, stored.experiment.title, stored.experiment.url)
    by_name = await events.events_of(connection, names.names(subject))
    declarations = declarations_in(event for own in by_name.values() for event in own)
    return Candidate(subject, value_of(declarations, "title"), value_of(declarations, "url"))


async def _describe_absence(connection: Connection, reading: Reading) -> str:
    if reading.is_unknown_page:
        return (
            f"no experiment has the address {reading.text}, and the address has no known form; look up a reference, "
            "such as github:acme/app#45, or the hash of the commit if the page shows a run"
        )
    meanings = " or ".join(reading.first)
    return await advise(connection, f"{reading.text!r} means {meanings}, and nothing is stored about it", reading.first)


async def advise(connection: Connection, absence: str, readings: Sequence[Ref]) -> str:
    """Add advice on what to try next: a similar reference in the same project or else in a project with a similar name.

    Args:
        absence: the statement that nothing is stored about the readings.
        readings: the references that the name may mean.
    """
    for find in (_find_in_project, _find_in_similar_project):
        for reading in readings:
            if similar := await find(connection, reading):
                return f"{absence}; did you mean {similar}? {_ADVICE[0].upper()}{_ADVICE[1:]}"
    return f"{absence}: {_ADVICE}"


async def _find_in_project(connection: Connection, subject: Ref) -> Ref | None:
    """Find an experiment in the same project, with a similar number."""
    name, rest = split_project(subject)
    roots = [split_project(root) for root in await subjects.roots_around(connection, subject)]
    similar = suggest(rest, {other for project, other in roots if project == name and other != rest})
    return join_project(name, similar) if similar else None


async def _find_in_similar_project(connection: Connection, subject: Ref) -> Ref | None:
    """Find a stored subject in a project with a similar name, with the same number."""
    name, rest = split_project(subject)
    roots = await subjects.roots_around(connection, subject)
    similar = suggest(name, {split_project(root)[0] for root in roots} - {name})
    if not similar:
        return None
    similar_subject = join_project(similar, rest)
    names = (await aliases.read_all(connection)).names(similar_subject)
    return similar_subject if await subjects.select_stored(connection, names) else None
