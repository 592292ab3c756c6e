"""References: typed names of subjects, and a parser that reads them from text."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NewType
from uuid import NAMESPACE_URL, UUID, uuid5

from service.lifecycle.addresses import BLANK, Address
from service.lifecycle.errors import BadReference

Ref = NewType("Ref", str)
"""A typed reference to a subject: `github:acme/app#45`, `github:acme/app!7`, `commit:<sha>`, `key:anything`."""

_SCHEME = "[a-z][a-z0-9_-]*"
# A project is either a path before an item, change or branch (`acme/app`), or a key before a number (`ML`).
# A project's qualifier stands at the end of the reference if the project is a key: `jira:ML-12~acme.atlassian.net`.
_IN_PROJECT = re.compile(
    r"([^:]+:(?:[A-Za-z0-9_]+|\{[^{}]+\})(?=-)|[^@#!]+)(?:(-[0-9]+)(~[^~@#!]+)?|([#!][0-9]+|@.+))?"
)
_EXPERIMENTS = uuid5(NAMESPACE_URL, "loopgauge:experiment")


@dataclass(frozen=True, slots=True)
class KeyGrammar:
    """The form in which people name a subject in a text, without its provider, such as `ML-12`.

    Attributes:
        project: the form of a project's key in the rules file.
        any_project: the form of a project's key in a text, if the rules file names no keys. This form excludes words
            that only look like keys, such as `UTF` in `UTF-8`.
        loose_project: the same form in any case. A key in small letters counts only if the provider's own deliveries
            name the project, because many words look like such a key.
        number: the form of the number after the key and a hyphen.
        expects: a description of a project's key, for error messages.
    """

    project: re.Pattern[str]
    any_project: str
    loose_project: str
    number: str
    expects: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The references that one provider reads in a text: an address, or a short form such as `acme/app#45`.

    Attributes:
        first: the references that the text means by its form; more than one if the form does not tell them apart.
        others: the references that the text may mean if nothing is stored about `first`, the likeliest first.
        certain: whether the text belongs to this provider for certain, so that the claims of all others are void.
    """

    first: tuple[Ref, ...] = ()
    others: tuple[Ref, ...] = ()
    certain: bool = False


def claim(subjects: Sequence[Ref], *, certain: bool = False) -> Claim:
    """The claim of a text that means the first of these subjects, or else one of the others."""
    return Claim(tuple(subjects[:1]), tuple(subjects[1:]), certain and bool(subjects))


def _claim_nothing(_: object) -> Claim:
    return Claim()


@dataclass(frozen=True, slots=True)
class ReferenceGrammar:
    """The form of the references of one scheme.

    Attributes:
        form: the form of the part after the scheme, as a regular expression that excludes `BLANK`.
        example: one or more references as examples, for error messages.
        canonical: a function that returns the canonical form of the part after the scheme.
        key: the form in which people write such references without the scheme, or None.
        addressed: a function that reads the address of a page. It raises no error, whatever the address contains.
        abbreviated: a function that reads a short form, without the scheme. It raises no error either.
        page_example: the address of a page as an example, for error messages.
        short_examples: short forms as examples, for error messages.
    """

    form: str
    example: str
    canonical: Callable[[str], str] = str.lower
    key: KeyGrammar | None = None
    addressed: Callable[[Address], Claim] = _claim_nothing
    abbreviated: Callable[[str], Claim] = _claim_nothing
    page_example: str = ""
    short_examples: tuple[str, ...] = ()


def _canonical_branch(name: str) -> str:
    """Write the project in lower case, and keep the name of the branch, which is case-sensitive."""
    project, _, branch_name = name.partition("@")
    return f"{project.lower()}@{branch_name}"


_ANY = ReferenceGrammar(f"[^{BLANK}]+", "a form such as github:acme/app#45")
_OF_NO_PROVIDER: Mapping[str, ReferenceGrammar] = {
    "branch": ReferenceGrammar(f"[^@{BLANK}]+@[^{BLANK}]+", "branch:acme/app@exp/cache", _canonical_branch),
    "key": ReferenceGrammar(_ANY.form, "key:cache-answers", canonical=str),
}


class ReferenceParser:
    """Parses references of every scheme. References of a scheme without a grammar may have any form.

    Args:
        providers: the grammar of each provider, by the provider's name, which is also the scheme of its references.
    """

    def __init__(self, providers: Mapping[str, ReferenceGrammar]) -> None:
        self.grammars: Mapping[str, ReferenceGrammar] = {**_OF_NO_PROVIDER, **providers}

    @property
    def pattern(self) -> str:
        """A regular expression that matches the references of every scheme."""
        schemes = "|".join(sorted(self.grammars))
        forms = [f"{scheme}:{grammar.form}" for scheme, grammar in sorted(self.grammars.items())]
        return "|".join([f"((?!({schemes}):){_SCHEME}:{_ANY.form}", *forms]) + ")"

    def parse(self, text: str) -> Ref:
        """Parse a reference.

        Raises:
            BadReference: the text has no scheme or no name, contains white space or control characters, or does not
                have the form of its scheme.
        """
        scheme, _, name = text.partition(":")
        grammar = self.grammars.get(scheme, _ANY)
        for expected in (_ANY, grammar):
            if not re.fullmatch(f"{_SCHEME}:{expected.form}", text):
                raise BadReference(f"{text!r} is not a reference; expected {expected.example}")
        return Ref(f"{scheme}:{grammar.canonical(name)}")


def item(provider: str, project: str, number: int) -> Ref:
    """The reference of an issue or ticket. Project names are case-insensitive, as they are on GitHub and GitLab."""
    return Ref(f"{provider}:{project.lower()}#{number}")


def change(provider: str, project: str, number: int) -> Ref:
    """The reference of a pull or merge request."""
    return Ref(f"{provider}:{project.lower()}!{number}")


def project(provider: str, name: str) -> Ref:
    """The reference of a project. The references of its items and changes begin with this text."""
    return Ref(f"{provider}:{name.lower()}")


def branches(project: str) -> Ref:
    """The prefix of references to a project's branches."""
    return Ref(f"branch:{project.lower()}")


def branch(project: str, name: str) -> Ref:
    """The reference of a branch. Names of branches are case-sensitive."""
    return Ref(f"{branches(project)}@{name}")


def commit(sha: str) -> Ref:
    """The reference of a commit. A commit has the same hash in every fork and mirror."""
    return Ref(f"commit:{sha.lower()}")


def experiment_id(root: Ref) -> UUID:
    """The public id of the experiment with this root: a version 5 UUID."""
    return uuid5(_EXPERIMENTS, root)


def split_project(subject: str) -> tuple[str, str]:
    """Split a reference into its project and the rest: `github:acme/app#45` into `github:acme/app` and `#45`.

    The project keeps its qualifier: the project of `jira:ML-12~acme.atlassian.net` is `jira:ML~acme.atlassian.net`.
    """
    parts = _IN_PROJECT.fullmatch(subject)
    if parts is None:
        return subject, ""
    project, number, qualifier, rest = parts.groups("")
    return project + qualifier, number or rest


def join_project(project: str, rest: str) -> Ref:
    """Join a project and the rest of a reference: the inverse of `split_project`."""
    if not rest.startswith("-"):
        return Ref(project + rest)
    key, tilde, qualifier = project.partition("~")
    return Ref(f"{key}{rest}{tilde}{qualifier}")
