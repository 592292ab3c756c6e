"""References to tickets, such as `jira:ML-12`: `jira:`, the key of a project, a hyphen and a number.

People also write the key alone, or the address of a page that shows the ticket.
"""

import re
from itertools import pairwise

from service.lifecycle.addresses import Address
from service.lifecycle.references import Claim, KeyGrammar, Ref, ReferenceGrammar, claim

# Beginnings of well-known names that look like the key of a ticket, such as SHA in SHA-256.
_NO_PROJECTS = "AES|COVID|CVE|GPT|HTTP|ISO|PEP|RFC|SHA|TLS|UTF"
_PROJECT = re.compile("[A-Za-z][A-Za-z0-9_]{0,29}")
_NUMBER = "[1-9][0-9]{0,8}"
_KEY = re.compile(f"{_PROJECT.pattern}-{_NUMBER}")
_FORM = "[A-Za-z][A-Za-z0-9_]*-[0-9]+"
# The segments of a path that precede a key. Pages of a service desk end with the key.
_BEFORE_KEYS = frozenset({"browse", "issue", "issues"})
_SERVICE_DESK = "servicedesk"


def _read_address(address: Address) -> Claim:
    keys = [address.query.get("selectedIssue", "")]
    keys += [key for before, key in pairwise(address.path) if before in _BEFORE_KEYS]
    if _SERVICE_DESK in address.path:
        keys.append(address.path[-1])
    named = [Ref(f"jira:{key.upper()}") for key in keys if _KEY.fullmatch(key)]
    return claim(named[:1], certain=address.has_label("jira"))


def _read_key(text: str) -> Claim:
    return Claim((Ref(f"jira:{text.upper()}"),)) if _KEY.fullmatch(text) else Claim()


def _canonical(name: str) -> str:
    """Write the key in capitals. The qualifier after `~`, such as the host of a site, is in lower case."""
    key, tilde, qualifier = name.partition("~")
    return f"{key.upper()}{tilde}{qualifier.lower()}"


REFERENCES = ReferenceGrammar(
    form=f"{_FORM}(~[A-Za-z0-9.:/_\\[\\]-]+)?",
    example="jira:ML-12",
    canonical=_canonical,
    key=KeyGrammar(
        project=_PROJECT,
        any_project=f"(?!(?:{_NO_PROJECTS})-)[A-Z][A-Z0-9_]{{1,29}}",
        loose_project=f"(?!(?i:{_NO_PROJECTS})-)[A-Za-z][A-Za-z0-9_]{{1,29}}",
        number=_NUMBER,
        expects="the key of a Jira project, such as ML",
    ),
    addressed=_read_address,
    abbreviated=_read_key,
    page_example="https://acme.atlassian.net/browse/ML-12",
    short_examples=("ML-12",),
)
_LONGEST_KEY = 255


def is_project_key(key: str) -> bool:
    """Whether a text is the key of a project, such as ML."""
    return len(key) <= _LONGEST_KEY and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", key) is not None


def reference(key: str | None) -> Ref | None:
    """The reference of the ticket with this key, or None if the text is not a key."""
    if not key or len(key) > _LONGEST_KEY or not re.fullmatch(_FORM, key):
        return None
    return Ref(f"jira:{key.upper()}")
