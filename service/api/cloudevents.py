"""The OpenAPI description of `POST /events`."""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.api.http.auth import BEARER
from service.lifecycle.acts import ACTS
from service.lifecycle.addresses import BLANK
from service.lifecycle.teams import team_pattern
from service.providers import REFERENCES
from service.providers.cloudevents import BATCHED, MOST_EVENTS, STRUCTURED
from service.providers.cloudevents.statements import EventData

SIGNATURE = "StandardWebhooks"
"""The name that the OpenAPI document gives to the security scheme for signed events."""
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
_REFERENCE = {
    "type": "string",
    "maxLength": 1000,
    "pattern": f"^({REFERENCES.short_pattern}|{REFERENCES.event_pattern})$",
    "description": (
        "A reference of at most 1000 bytes, such as `github:acme/app#45`, `key:cache-answers` or `run:acme/7`; or the "
        "address of the subject's page, a key such as `ML-12` or the whole hash of a commit. The service stores the "
        "reference that the text means. It refuses a text of another form, and a text that may mean several "
        "references, and names them: `acme/app#45` may be on GitHub or GitLab."
    ),
}


def _one_of(*values: str) -> dict[str, Any]:
    return {"enum": [*values, None]}


def _nullable(**schema: Any) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _data_properties() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components([EventData])
    properties = {name: _nullable_property(schema) for name, schema in schemas["EventData"]["properties"].items()}
    # Dialects of regular expressions disagree whether `\s` matches certain control characters. The pattern therefore
    # rejects a control character after the white space, so that each team that matches the pattern in the dialect of
    # some client is valid for the service too.
    properties["team"]["anyOf"][0]["pattern"] = team_pattern(BLANK)
    properties["links"]["anyOf"][0]["items"] = _REFERENCE
    return properties


def _nullable_property(schema: Mapping[str, Any]) -> dict[str, Any]:
    given, _ = schema["anyOf"]
    return _one_of(*given["enum"]) if "enum" in given else _nullable(**given)


_DATA = {
    "type": ["object", "null"],
    "properties": _data_properties(),
    # An event with a failure category has the outcome `failed`, or no outcome, because another event may report it.
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
                "type": {"enum": [_TYPE_PREFIX + name for name in ACTS]},
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
"""The parts of the description of `POST /events` that FastAPI cannot derive from the code."""
