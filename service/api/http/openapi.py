"""The OpenAPI document: what FastAPI makes of the endpoints, completed by what holds for many of them alike."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from service.api import scorecard, webhooks
from service.api.cloudevents import REFERENCE
from service.api.http.auth import BEARER
from service.api.http.problems import (
    PROBLEM,
    PROBLEM_SCHEMA,
    InvalidRequest,
    TokenNotConfigured,
    TokenRefused,
    describe_problems,
)
from service.storage.database import DatabaseMisconfigured, DatabaseUnavailable

_Document = dict[str, Any]
_TAGS = {
    "webhooks": "Where tools send what happened.",
    "events": "Where anything else does.",
    "experiments": "What came of it.",
    "scorecard": "The four questions.",
    "deliveries": "The inbox: what was sent, and why it counted or did not.",
    "metrics": "The figures, for Prometheus.",
    "health": "For whoever runs the service.",
}
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_EXPERIMENT = {
    "description": "The experiment's id, or any of its references.",
    "schema": {"type": "string", "pattern": f"^({_UUID}|{REFERENCE})$"},
    "example": "github:acme/app#45",
}
# What needs no database.
_ALONE = {"health", "metrics"}
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI, *, reads_are_open: bool, metrics_are_open: bool) -> None:
    """Complete the OpenAPI document of an application.

    Args:
        reads_are_open: whether those on this machine may read without a token.
        metrics_are_open: whether anybody may scrape.
    """
    generate = app.openapi

    def described() -> _Document:
        if app.openapi_schema is None:
            # What modules describe is shared by all applications of a process.
            document = deepcopy(generate())
            if any(getattr(route, "path", "") == webhooks.PATH for route in app.routes):
                document["paths"][webhooks.PATH] = deepcopy(webhooks.OPENAPI)
                scorecard.add_example(document)
            _complete(document, reads_are_open=reads_are_open, metrics_are_open=metrics_are_open)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _complete(document: _Document, *, reads_are_open: bool, metrics_are_open: bool) -> None:
    for path, method, operation in _operations(document):
        if {BEARER: []} in operation.get("security", ()):
            _add(operation, TokenRefused, TokenNotConfigured)
            if method == "get" and (metrics_are_open if path == "/metrics" else reads_are_open):
                operation["security"].insert(0, {})
        if not _ALONE.intersection(operation["tags"]):
            _add(operation, DatabaseUnavailable, DatabaseMisconfigured)
        for parameter in operation.get("parameters", ()):
            if (parameter["in"], parameter["name"]) == ("path", "experiment"):
                parameter.update(_EXPERIMENT)
        if operation["responses"].get("422", {}).get("description") == "Validation Error":
            del operation["responses"]["422"]
        if path != webhooks.PATH and (operation.get("parameters") or "requestBody" in operation):
            _add(operation, InvalidRequest)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    schemas[PROBLEM] = PROBLEM_SCHEMA
    components.setdefault("securitySchemes", {}).update(webhooks.SECURITY)
    document["tags"] = [{"name": name, "description": said} for name, said in _TAGS.items()]


def _operations(document: _Document) -> Iterator[tuple[str, str, _Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _add(operation: _Document, *kinds: type[Exception]) -> None:
    """Describe the answers to errors beside those that the operation names itself."""
    for status, answer in describe_problems(*kinds).items():
        known = operation["responses"].setdefault(str(status), answer)
        for media_type, described in answer["content"].items():
            examples = known.setdefault("content", {}).setdefault(media_type, described).setdefault("examples", {})
            examples.update(described["examples"] | examples)
        if "headers" in answer:
            known.setdefault("headers", {}).update(answer["headers"])
