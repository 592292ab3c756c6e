"""References: typed names of subjects, and a parser that reads them from text."""

import re
from collections.abc import Mapping
from typing import NewType
from uuid import NAMESPACE_URL, UUID, uuid5

from service.lifecycle.errors import BadReference

Ref = NewType("Ref", str)
"""A typed reference to a subject: `github:acme/app#45`, `github:acme/app!7`, `commit:<sha>`, `key:anything`."""

_REFERENCE = re.compile(r"[a-z][a-z0-9_-]*:[^\s\x00-\x1f\x7f-\x9f]+")
# For each known scheme, the form of its references and an example. References of other schemes may have any form.
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "branch": (re.compile(r"[^@]+@.+"), "branch:acme/app@exp/cache"),
    "github": (re.compile(r"[^#!]+[#!][0-9]+"), "github:acme/app#45 or github:acme/app!7"),
    "gitlab": (re.compile(r"[^#!]+[#!][0-9]+"), "gitlab:acme/app#45 or gitlab:acme/app!7"),
    "jira": (re.compile(r"[A-Za-z][A-Za-z0-9_]*-[0-9]+"), "jira:ML-12"),
}
_IN_PROJECT = re.compile(r"(jira:[^-]+|[^@#!]+)([#!-][0-9]+|@.+)?")
_EXPERIMENTS = uuid5(NAMESPACE_URL, "loopgauge:experiment")


def parse_reference(text: str) -> Ref:
    """Parse a reference.

    Raises:
        BadReference: the text has no scheme or no name, contains white space or control characters, or does not have
            the form that its scheme requires.
    """
    if not _REFERENCE.fullmatch(text):
        raise BadReference(f"{text!r} is not a reference; expected a form such as github:acme/app#45")
    scheme, _, named = text.partition(":")
    form, example = _FORMS.get(scheme, (None, ""))
    if form is not None and not form.fullmatch(named):
        raise BadReference(f"{text!r} is not a reference; expected {example}")
    if scheme == "jira":
        return Ref(f"jira:{text[5:].upper()}")
    # References of scheme `key` and names of branches are case-sensitive; all other references are not.
    place, rest = split_project(text)
    return Ref(text if scheme == "key" else place.lower() + (rest if scheme == "branch" else rest.lower()))


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
    """Split a reference into its project and the rest: `github:acme/app#45` into `github:acme/app` and `#45`."""
    parts = _IN_PROJECT.fullmatch(subject)
    return (parts[1], parts[2] or "") if parts else (subject, "")
