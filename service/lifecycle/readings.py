"""Readings: the references that a text from a person may mean.

People write what they have at hand: a reference, the address in their browser, `acme/app#45`, `ML-12` or a hash. The
syntax alone determines a reading, so it depends neither on the stored data nor on the order of deliveries.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from urllib.parse import unquote

from service.lifecycle.addresses import BLANK, Address, read_address
from service.lifecycle.errors import AmbiguousReference, BadReference, Candidate
from service.lifecycle.nearest import suggest
from service.lifecycle.references import Claim, Ref, ReferenceGrammar, ReferenceParser, commit

_LONGEST_SHOWN = 200
_HASH = re.compile("[0-9a-fA-F]{7,64}")
_WHOLE_HASHES = (40, 64)
_COMMIT = "commit"
_FREE = ("run",)
"""The schemes, besides `key`, whose references may have any form: pipelines name their runs as they like."""
_INVISIBLE = " \t\n\r\v\f\x85\xa0\u2028\u2029\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
# No reference begins with one of these characters or ends with one, except for branches, keys and addresses.
_MARKS = "()[]{}<>\"'`*_,;. \N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
_FINAL_MARKS = ":!?"
_LINK = re.compile(r"!?\[.*\]\(<?([^\s()<>]+)>?(?:\s['\"].*)?\)[,;.:!?]*", re.DOTALL)
_LONGEST_WRAPPED = 5000
_WEB = ("http:", "https:")


@dataclass(frozen=True, slots=True)
class Reading:
    """The possible meanings of a text.

    Attributes:
        text: the text without surrounding white space and brackets.
        first: the references that the text means by its form. More than one, if the form does not tell them apart.
            Empty, if only a stored address can tell the meaning of `address`.
        others: the references that the text may mean if nothing is stored about `first`, the likeliest first.
        address: the address, if the text is one.
        is_reference: whether the text is a reference already.
    """

    text: str
    first: tuple[Ref, ...]
    others: tuple[Ref, ...] = ()
    address: Address | None = None
    is_reference: bool = False

    @property
    def is_unknown_page(self) -> bool:
        """Whether the text is the address of a page that no provider knows."""
        return self.address is not None and all(reference.startswith(_WEB) for reference in self.first)


def unwrap(text: str) -> str:
    """The text without the marks around it in prose, Markdown, Slack and Jira, such as `[Issue 45](https://…)`."""
    if len(text) > _LONGEST_WRAPPED:
        return text
    if link := _LINK.fullmatch(text):
        return link[1]
    bare = text.lstrip(_MARKS).rstrip(_MARKS + _FINAL_MARKS)
    return next((part for part in bare.split("|") if part.lower().startswith(_WEB)), bare)


def _strip(text: str) -> str:
    """The text without white space and zero-width characters at its ends. Chats and trackers add such characters."""
    return text.strip(_INVISIBLE)


def abbreviated_hash(reference: Ref) -> bool:
    """Whether a reference is the abbreviated hash of a commit, such as `commit:0a1b2c3`."""
    scheme, _, name = reference.partition(":")
    return scheme == "commit" and len(name) not in _WHOLE_HASHES and _HASH.fullmatch(name) is not None


class ReferenceReader(ReferenceParser):
    """Reads what people write for a reference, with the grammars of all providers."""

    def __init__(self, providers: Mapping[str, ReferenceGrammar]) -> None:
        super().__init__(providers)
        self._providers = providers
        self._schemes = {*self.grammars, _COMMIT, *_FREE}

    @property
    def event_pattern(self) -> str:
        """A regular expression that matches the references that an event may name: those of known schemes."""
        forms = [f"{scheme}:{grammar.form}" for scheme, grammar in sorted(self.grammars.items())]
        free = [f"{scheme}:[^{BLANK}]+" for scheme in _FREE]
        hashes = [f"{_COMMIT}:[0-9a-f]{{{length}}}" for length in _WHOLE_HASHES]
        return "|".join([*forms, *free, *hashes])

    @property
    def short_pattern(self) -> str:
        """A regular expression that matches keys and hashes, the short forms that always mean one subject."""
        grammars = [grammar.key for grammar in self._providers.values() if grammar.key]
        keys = [f"{key.project.pattern}-{key.number}" for key in grammars]
        return "|".join([*keys, *(f"[0-9a-f]{{{length}}}" for length in _WHOLE_HASHES)])

    def read(self, text: str) -> Reading:
        """Read a text.

        Raises:
            BadReference: the text has none of the accepted forms; the message names these forms.
        """
        bare = _strip(text)
        if bare.startswith("<"):
            bare = bare.removeprefix("<").removesuffix(">")
        reading = self._read(bare) or self._read(unquote(bare))
        if reading is None or reading.is_unknown_page:
            # The marks around an address may belong to it, but not if a provider knows the address without them.
            inner = unwrap(bare)
            unwrapped = self._read(inner) or self._read(unquote(inner))
            if unwrapped and not (reading and unwrapped.is_unknown_page):
                return unwrapped
        if reading:
            return reading
        scheme, colon, name = bare.partition(":")
        if colon and scheme.lower() in self.grammars:
            # The error names the form of this scheme's references.
            self.parse(f"{scheme.lower()}:{name}")
        raise BadReference(f"{text[:_LONGEST_SHOWN]!r} is not a reference; expected {self._accepted()}")

    def settle(self, text: str) -> Ref:
        """The one reference that a text means by its syntax, for an event about this subject.

        Raises:
            AmbiguousReference: the syntax allows more than one reference.
            BadReference: the text has none of the accepted forms, or abbreviates the hash of a commit.
        """
        reading = self.read(text)
        if not reading.first or reading.is_unknown_page:
            shown = f"{text[:_LONGEST_SHOWN]!r} is an address of no known form"
            raise BadReference(f"{shown}; expected {self._accepted_in_events()}")
        if len(reading.first) > 1:
            raise AmbiguousReference(reading.text, [Candidate(reference) for reference in reading.first])
        [reference] = reading.first
        self.check_form(reference)
        return reference

    def check_form(self, reference: Ref) -> None:
        """Check that a reference has a form that an event may name.

        A lookup accepts every scheme, because earlier releases stored references of any scheme.

        Raises:
            BadReference: the scheme of the reference is not known, or the reference is not the whole hash of a commit.
        """
        scheme, _, name = reference.partition(":")
        if abbreviated_hash(reference):
            raise BadReference(f"{name} is an abbreviated hash; write the whole hash")
        if scheme == _COMMIT and not _HASH.fullmatch(name):
            problem = "is not the hash of a commit; expected 40 or 64 hexadecimal digits"
            raise BadReference(f"{name[:_LONGEST_SHOWN]!r} {problem}")
        if scheme not in self._schemes:
            shown = f"{reference[:_LONGEST_SHOWN]!r} has no known form; expected {self._accepted_in_events()}"
            nearest = suggest(scheme, self._schemes)
            raise BadReference(f"{shown}; did you mean {nearest}:?" if nearest else shown)

    def _read(self, text: str) -> Reading | None:
        address = read_address(text)
        if address is not None:
            return self._read_address(text, address)
        if reference := self._canonical(text):
            return Reading(text, (reference,), is_reference=True)
        claims = self._abbreviated(text)
        return self._combine(text, claims) if claims else None

    def _read_address(self, text: str, address: Address) -> Reading:
        claims = [grammar.addressed(address) for grammar in self._providers.values()]
        if not address.scheme:
            return self._combine(text, [*claims, *self._abbreviated(text)], address)
        # An address may itself be the reference of a subject, because CloudEvents may have references of any scheme.
        literal = self._canonical(f"{address.scheme}://{address.rest}")
        return self._combine(text, claims, address, literal)

    def _canonical(self, text: str) -> Ref | None:
        """The canonical form of a text that is a reference, whatever the case of its scheme."""
        scheme, colon, name = text.partition(":")
        known = scheme.lower() in self.grammars or f"{scheme.lower()}:" in _WEB
        try:
            return self.parse(f"{scheme.lower() if known else scheme}{colon}{name}")
        except BadReference:
            return None

    def _abbreviated(self, text: str) -> list[Claim]:
        claims = [grammar.abbreviated(text) for grammar in self._providers.values()]
        if _HASH.fullmatch(text):
            claims.append(Claim((commit(text),)))
        return [claim for claim in claims if claim.first]

    def _combine(
        self, text: str, claims: Sequence[Claim], address: Address | None = None, literal: Ref | None = None
    ) -> Reading:
        """Combine the claims that are certain or, if none is, all claims. `literal` is the least likely meaning."""
        counted = [claim for claim in claims if claim.certain] or claims
        first = self._storable(chain.from_iterable(claim.first for claim in counted))
        others = self._storable(chain(*(claim.others for claim in counted), [literal] if literal else []))
        if not first:
            return Reading(text, others, (), address)
        return Reading(text, first, tuple(other for other in others if other not in first), address)

    def _storable(self, references: Iterable[Ref]) -> tuple[Ref, ...]:
        """The canonical references, without duplicates, and without those that contain white space."""
        canonical = (self._canonical(reference) for reference in references)
        return tuple(dict.fromkeys(reference for reference in canonical if reference))

    def _accepted(self) -> str:
        return f"{self._accepted_in_events()}; or the id of an experiment"

    def _accepted_in_events(self) -> str:
        grammars = self._providers.values()
        references = [_first_of(grammar.example) for grammar in grammars]
        shorts = dict.fromkeys(chain.from_iterable(grammar.short_examples for grammar in grammars))
        pages = [grammar.page_example for grammar in grammars if grammar.page_example]
        return (
            f"a form such as {', '.join(references)} or key:cache-answers; the address of a page, such as "
            f"{' or '.join(pages)}; a short form, such as {' or '.join(shorts)}; or the hash of a commit"
        )


def _first_of(examples: str) -> str:
    return examples.partition(" or ")[0]
