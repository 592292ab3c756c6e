"""The path parameter that names an experiment."""

from typing import Annotated

from fastapi import Path

from service.api.http.openapi import Document
from service.presentation.experiments import EXPERIMENT
from service.providers import REFERENCES

TEXT = r"^[^\x00]+$"
"""The pattern of text that PostgreSQL can store: any characters except NUL."""

ExperimentName = Annotated[
    str,
    Path(
        description="The experiment's id, or any of its references. Write `#` as `%23`.",
        pattern=TEXT,
        examples=["github:acme/app#45", EXPERIMENT["id"]],
    ),
]
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_DESCRIPTION = {
    "description": "The experiment's id, or any of its references. Write `#` as `%23`.",
    "schema": {"type": "string", "pattern": f"^({_UUID}|{REFERENCES.pattern})$"},
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
