"""The OpenAPI description of `POST /events`."""

from typing import Any, get_args

from service.api.http.auth import BEARER
from service.lifecycle.evidence import MOST_TARGETS
from service.providers.cloudevents import BATCHED, MOST_EVENTS, STRUCTURED
from service.providers.cloudevents.statements import Statement

# White space and control characters, which no reference contains.
_FORBIDDEN = r"\s\x00-\x1f\x7f-\x9f"
SIGNATURE = "StandardWebhooks"
"""The name of this security scheme in the OpenAPI document."""
REFERENCE = (
    rf"((?!(branch|github|gitlab|jira):)[a-z][a-z0-9_-]*:[^{_FORBIDDEN}]+|branch:[^@{_FORBIDDEN}]+@[^{_FORBIDDEN}]+"
    rf"|git(hub|lab):[^#!{_FORBIDDEN}]+[#!][0-9]+|jira:[A-Za-z][A-Za-z0-9_]*-[0-9]+)"
)
"""The pattern of references."""

_EXAMPLE = {
    "specversion": "1.0",
    "id": "2026-03-02-1",
    "source": "/pipelines/search",
    "type": "dev.loopgauge.experiment.concluded",
    "subject": "github:acme/app#45",
    "time": "2026-03-02T09:00:00Z",
    "data": {"outcome": "failed", "failure_category": "intelligent", "learning_url": "https://wiki.example.com/45"},
}
_TYPE_PREFIX = "dev.loopgauge.experiment."
_REFERENCE = {"type": "string", "maxLength": 1000, "pattern": f"^{REFERENCE}$", "description": "At most 1000 bytes."}


def _one_of(*values: str) -> dict[str, Any]:
    return {"enum": [*values, None]}


def _nullable(**schema: Any) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_ADDRESS = _nullable(type="string", maxLength=20_000, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20]+$")


_DATA = {
    "type": ["object", "null"],
    "properties": {
        "title": _nullable(type="string", maxLength=20_000, pattern=r"^[^\x00]*$"),
        "url": _ADDRESS,
        "team": _nullable(type="string", maxLength=100, pattern=rf"^\s*[^_{_FORBIDDEN}][^\x00]*$"),
        "risk": _one_of("bold", "safe"),
        "outcome": _one_of("worked", "failed", "inconclusive", "abandoned"),
        "failure_category": _one_of("intelligent", "basic", "complex"),
        "learning_url": _ADDRESS,
        "result": _one_of("success", "failure"),
        "links": _nullable(type="array", items=_REFERENCE, maxItems=MOST_TARGETS),
    },
    # Only a failed experiment has a category.
    "anyOf": [
        {"properties": {"outcome": {"enum": ["failed", None]}}},
        {"properties": {"failure_category": {"type": "null"}}},
    ],
}
_ATTRIBUTES: dict[str, Any] = {
    "specversion": {"const": "1.0"},
    "id": {"type": "string", "minLength": 1, "maxLength": 2000, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$"},
    "source": {"type": "string", "minLength": 1, "maxLength": 2000, "pattern": r"^[^\x00-\x20\x7f-\x9f]+$"},
    "time": _nullable(type="string", format="date-time"),
}
_REQUIRED = ["specversion", "id", "source", "type"]
_EVENT: dict[str, Any] = {
    "anyOf": [
        {
            "title": "An event about an experiment",
            "type": "object",
            "required": [*_REQUIRED, "subject"],
            "properties": {
                **_ATTRIBUTES,
                "type": {"enum": [_TYPE_PREFIX + name for name in get_args(Statement)]},
                "subject": _REFERENCE,
                "datacontenttype": {"enum": ["application/json", None]},
                "data": _DATA,
                "data_base64": {"type": "null"},
            },
        },
        {
            "title": "Any other event, which is stored and ignored",
            "type": "object",
            "required": _REQUIRED,
            "properties": {
                **_ATTRIBUTES,
                "type": {
                    "type": "string",
                    "maxLength": 2000,
                    "pattern": r"^(?!dev\.loopgauge\.)[^\x00-\x1f\x7f-\x9f]+$",
                },
                "subject": _nullable(type="string", minLength=1, maxLength=2000, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"),
                "datacontenttype": _nullable(type="string"),
                "data": True,
                "data_base64": _nullable(type="string"),
            },
        },
    ]
}
OPENAPI: dict[str, Any] = {
    "security": [{BEARER: []}, {SIGNATURE: []}],
    "requestBody": {
        "required": True,
        "content": {
            STRUCTURED: {"schema": _EVENT, "example": _EXAMPLE},
            BATCHED: {
                "schema": {"type": "array", "items": _EVENT, "maxItems": MOST_EVENTS},
                "example": [_EXAMPLE, {**_EXAMPLE, "id": "2026-03-02-2", "subject": "jira:ML-12"}],
            },
        },
    },
}
"""The part of the endpoint's description that FastAPI cannot derive."""
