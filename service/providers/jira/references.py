"""References to tickets, such as `jira:ML-12`: `jira:`, the key of a project, a hyphen and a number."""

import re

from service.lifecycle.references import KeyGrammar, Ref, ReferenceGrammar

# Beginnings of well-known names that look like the key of a ticket, such as SHA in SHA-256.
_NO_PROJECTS = "AES|COVID|CVE|GPT|HTTP|ISO|PEP|RFC|SHA|TLS|UTF"
REFERENCES = ReferenceGrammar(
    form="[A-Za-z][A-Za-z0-9_]*-[0-9]+",
    example="jira:ML-12",
    canonical=str.upper,
    key=KeyGrammar(
        project=re.compile("[A-Za-z][A-Za-z0-9_]{0,29}"),
        any_project=f"(?!(?:{_NO_PROJECTS})-)[A-Z][A-Z0-9_]{{1,29}}",
        number="[1-9][0-9]{0,8}",
        expects="the key of a Jira project, such as ML",
    ),
)
_LONGEST_KEY = 255


def reference(key: str | None) -> Ref | None:
    """The reference of the ticket with this key, or None if the text is not a key."""
    if not key or len(key) > _LONGEST_KEY or not re.fullmatch(REFERENCES.form, key):
        return None
    return Ref(f"jira:{REFERENCES.canonical(key)}")
