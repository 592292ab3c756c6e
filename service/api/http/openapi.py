"""The OpenAPI document. FastAPI describes each endpoint; this module adds the parts that many endpoints share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, TypeAlias

from fastapi import FastAPI

from service.api.http.auth import BEARER
from service.api.http.problems import (
    PROBLEM,
    PROBLEM_SCHEMA,
    InvalidRequest,
    TokenNotConfigured,
    TokenRefused,
    describe_problems,
)
from service.storage.errors import DatabaseMisconfigured, DatabaseUnavailable

Document: TypeAlias = dict[str, Any]
Addition: TypeAlias = Callable[[Document], None]
"""A function that adds the parts of the document that FastAPI cannot derive from an endpoint."""

TAGS = [
    {"name": "home", "description": "Find your way around."},
    {"name": "webhooks", "description": "Receive webhooks from your tools."},
    {"name": "events", "description": "Receive CloudEvents from any other tool."},
    {"name": "experiments", "description": "Read experiments, and add events to them."},
    {"name": "scorecard", "description": "Read the scorecard, which answers four questions about your experiments."},
    {"name": "deliveries", "description": "Read webhook deliveries, each with its status and reason."},
    {"name": "metrics", "description": "Export metrics to Prometheus."},
    {"name": "health", "description": "Check the health of the service."},
]
_TAGS_WITHOUT_DATABASE = {"health", "home", "metrics"}
# The schema of problem details replaces these two schemas of FastAPI.
_FASTAPI_SCHEMAS = ("HTTPValidationError", "ValidationError")


def describe(
    app: FastAPI,
    security_schemes: Mapping[str, Any],
    additions: Iterable[Addition],
    *,
    reads_are_open: bool,
    metrics_are_open: bool,
) -> None:
    """Complete the OpenAPI document of an application.

    Args:
        security_schemes: the security schemes other than the bearer token, by name.
        additions: further changes to the document, applied last.
        reads_are_open: whether clients on this machine may read without a token.
        metrics_are_open: whether `GET /metrics` needs no token.
    """
    generate = app.openapi

    def openapi() -> Document:
        if app.openapi_schema is None:
            # Change a copy: all applications in a process share the parts that endpoints declare.
            document = deepcopy(generate())
            for path, method, operation in _operations(document):
                is_open = metrics_are_open if path == "/metrics" else reads_are_open
                _complete(operation, is_open=is_open and method == "get")
            components = document.setdefault("components", {})
            _complete_schemas(components.setdefault("schemas", {}))
            components.setdefault("securitySchemes", {}).update(deepcopy(dict(security_schemes)))
            for add in additions:
                add(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _complete(operation: Document, *, is_open: bool) -> None:
    if {BEARER: []} in operation.get("security", ()):
        _add_problems(operation, TokenRefused, TokenNotConfigured)
        if is_open:
            operation["security"].insert(0, {})
    if not _TAGS_WITHOUT_DATABASE.intersection(operation["tags"]):
        _add_problems(operation, DatabaseUnavailable, DatabaseMisconfigured)
    if operation["responses"].get("422", {}).get("description") == "Validation Error":
        del operation["responses"]["422"]
    if operation.get("parameters") or "requestBody" in operation:
        _add_problems(operation, InvalidRequest)


def _complete_schemas(schemas: Document) -> None:
    for name in _FASTAPI_SCHEMAS:
        schemas.pop(name, None)
    schemas[PROBLEM] = deepcopy(dict(PROBLEM_SCHEMA))


def _add_problems(operation: Document, *kinds: type[Exception]) -> None:
    """Describe the answers to these errors. If the operation already describes an answer with the same
    status, keep the description and examples of that answer, and add the examples of these errors.
    """
    for status, answer in describe_problems(*kinds).items():
        known = operation["responses"].setdefault(str(status), answer)
        for media_type, described in answer["content"].items():
            examples = known.setdefault("content", {}).setdefault(media_type, described).setdefault("examples", {})
            examples.update(described["examples"] | examples)
        if "headers" in answer:
            known.setdefault("headers", {}).update(answer["headers"])
