"""The path parameter that names an experiment."""

from typing import Annotated

from fastapi import Path

from service.api.http.openapi import Document
from service.lifecycle.addresses import BLANK
from service.presentation.experiments import EXPERIMENT
from service.providers import REFERENCES

TEXT = r"^[^\x00]+$"
"""The pattern of text that PostgreSQL can store: any characters except NUL."""

NAMES = (
    "an id, a reference (`github:acme/app#45`), the URL of the subject's page in a browser (the host does not matter), "
    "a short form (`acme/app#45`, `acme/app!7`, `ML-12`), or the hash of a commit (all of it, or at least its first "
    "seven digits). If the text means several stored subjects, the answer is the problem `ambiguous-reference`, which "
    "lists them."
)
"""The description of the texts that name a subject."""
_IN_PATH = (
    f"The experiment: {NAMES} Write `#` as `%23` and `?` as `%3F`. For an address, `GET /experiments?ref=` is simpler."
)

ExperimentName = Annotated[
    str, Path(description=_IN_PATH, pattern=TEXT, examples=["github:acme/app#45", EXPERIMENT["id"]])
]
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ADDRESS = f"[Hh][Tt][Tt][Pp][Ss]?:/+[^/?#@:{BLANK}]+(/[^{BLANK}]*)?"
_DESCRIPTION = {
    "description": _IN_PATH,
    "schema": {"type": "string", "pattern": f"^({_UUID}|{_ADDRESS}|{REFERENCES.short_pattern}|{REFERENCES.pattern})$"},
    "example": "github:acme/app#45",
}


def describe_experiment_names(document: Document) -> None:
    """Document the pattern of ids and references.

    FastAPI checks only `TEXT`, so that a malformed reference is answered with the problem `bad-reference`, not with
    `invalid`.
    """
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if (parameter["in"], parameter["name"]) == ("path", "experiment"):
                    parameter.update(_DESCRIPTION)
