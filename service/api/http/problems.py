"""Every error that leaves over HTTP, as problem details (RFC 9457) with a stable `type`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from service.api.http.security_headers import HEADERS
from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.signatures import SignatureRefused
from service.lifecycle.errors import BadReference, UnknownSubject, UnreadableEvent
from service.providers.cloudevents import InvalidEvent, NoCloudEvent
from service.queries.manual_event import Impossible, KeyReused
from service.queries.retry import NotRetriable
from service.queries.scorecard import UnknownTeam
from service.runtime.subprocess import CompanionFailed
from service.storage.database import DatabaseMisconfigured, DatabaseRejected, DatabaseUnavailable
from service.storage.inbox import InvalidCursor


class UnknownSource(Exception):
    """No source of this name is configured."""


class BodyTooLarge(Exception):
    """The body is larger than LOOPGAUGE_MAX_BODY_BYTES."""


class BodyTooSlow(Exception):
    """The body did not arrive in time."""


class Overloaded(Exception):
    """More bytes are being received than LOOPGAUGE_MAX_INFLIGHT_BYTES."""


class UnknownDelivery(Exception):
    """There is no delivery with this id."""


class InvalidRequest(Exception):
    """A parameter or the body is not as described; `errors` names each field that is wrong."""


class NotReady(Exception):
    """Deliveries cannot be kept; `checks` says why."""


class TokenRefused(Exception):
    """The bearer token is missing or wrong."""


class DoorClosed(Exception):
    """No token is configured for this, so nobody may."""


@dataclass(frozen=True, slots=True)
class _Problem:
    status: HTTPStatus
    slug: str
    title: str
    headers: Mapping[str, str] = field(default_factory=dict)


CLIENT_CLOSED_REQUEST = 499
"""The status of requests whose sender went away before there was an answer, as nginx has it."""

_MEDIA_TYPE = "application/problem+json"
PROBLEM = "Problem"
"""The name of the schema of problem details in the OpenAPI document."""
PROBLEM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "title": PROBLEM,
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "pattern": "^urn:loopgauge:problem:[a-z-]+$", "description": "Stable; tell by it."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong with this request, and what to do."},
        "errors": {
            "type": "array",
            "description": "Each field that is wrong.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_RETRY_SOON = {"retry-after": "5"}

# The one table from errors to HTTP.
PROBLEMS: Mapping[type[Exception], _Problem] = {
    SignatureRefused: _Problem(
        HTTPStatus.UNAUTHORIZED,
        "signature-refused",
        "The signature is missing or wrong",
        {"www-authenticate": "Signature"},
    ),
    NoCloudEvent: _Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no-cloudevent", "This is no CloudEvent"),
    InvalidEvent: _Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-event", "The event is invalid"),
    UnreadableDelivery: _Problem(HTTPStatus.BAD_REQUEST, "unreadable", "The body cannot be read"),
    UnknownSource: _Problem(HTTPStatus.NOT_FOUND, "unknown-source", "No such source is configured"),
    BodyTooLarge: _Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", "The body is too large"),
    BodyTooSlow: _Problem(HTTPStatus.REQUEST_TIMEOUT, "body-too-slow", "The body did not arrive in time"),
    Overloaded: _Problem(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "Too much is being received", _RETRY_SOON),
    DatabaseUnavailable: _Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "database-unavailable", "PostgreSQL is not available", _RETRY_SOON
    ),
    DatabaseMisconfigured: _Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "database-misconfigured", "PostgreSQL cannot be reached", _RETRY_SOON
    ),
    DatabaseRejected: _Problem(HTTPStatus.BAD_REQUEST, "cannot-be-stored", "The request cannot be stored"),
    UnknownSubject: _Problem(HTTPStatus.NOT_FOUND, "unknown-subject", "Nothing is known of this"),
    UnreadableEvent: _Problem(HTTPStatus.SERVICE_UNAVAILABLE, "newer-events", "A newer version wrote this"),
    BadReference: _Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-reference", "This is no reference"),
    UnknownTeam: _Problem(HTTPStatus.NOT_FOUND, "unknown-team", "No experiment is of this team"),
    CompanionFailed: _Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "figures-unavailable", "The figures cannot be computed now", _RETRY_SOON
    ),
    UnknownDelivery: _Problem(HTTPStatus.NOT_FOUND, "unknown-delivery", "There is no such delivery"),
    NotRetriable: _Problem(HTTPStatus.CONFLICT, "not-retriable", "The delivery cannot be retried"),
    Impossible: _Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "impossible", "The experiment cannot have such an event"),
    KeyReused: _Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "key-reused", "The Idempotency-Key came with another request"),
    InvalidCursor: _Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-cursor", "The cursor is not one of ours"),
    InvalidRequest: _Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "The request is invalid"),
    NotReady: _Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", "Deliveries cannot be kept", _RETRY_SOON),
    TokenRefused: _Problem(
        HTTPStatus.UNAUTHORIZED, "token-refused", "The token is missing or wrong", {"www-authenticate": "Bearer"}
    ),
    DoorClosed: _Problem(HTTPStatus.FORBIDDEN, "door-closed", "No token is configured for this"),
}


def refusals(*kinds: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of answers to errors of the table, an example of each."""
    described: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        problem = PROBLEMS[kind]
        example = _content(problem.status, problem.slug, problem.title, (kind.__doc__ or problem.title).strip())
        answer = described.setdefault(int(problem.status), {"description": problem.title, "content": {}})
        schema = {"$ref": f"#/components/schemas/{PROBLEM}"}
        media = answer["content"].setdefault(_MEDIA_TYPE, {"schema": schema, "examples": {}})
        media["examples"][problem.slug] = {"value": example}
        for name in problem.headers:
            answer.setdefault("headers", {})[name.title()] = {"schema": {"type": "string"}}
    return described


def problem_of(error: Exception, **more: Any) -> JSONResponse:
    """The answer to an error that the table knows; further members may be added by name."""
    problem = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
    detail = str(error) or (type(error).__doc__ or problem.title).strip()
    if isinstance(error, InvalidEvent):
        more["errors"] = [{"field": error.field, "message": error.problem}]
    return problem_response(problem.status, problem.slug, problem.title, detail, headers=problem.headers, **more)


def problem_response(
    status: int, slug: str, title: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Problem details; further members may be added by name."""
    content = _content(status, slug, title, detail) | more
    return JSONResponse(content, status, dict(headers or {}), media_type=_MEDIA_TYPE)


def _content(status: int, slug: str, title: str, detail: str) -> dict[str, Any]:
    return {"type": f"urn:loopgauge:problem:{slug}", "title": title, "status": int(status), "detail": detail}


def _readable(path: Iterable[object]) -> str:
    """A field's path; what a sender calls a field may be no text that can be sent back."""
    return ".".join(map(str, path)).encode("utf-8", "backslashreplace").decode()


async def unexpected(_request: Request, _error: Exception) -> JSONResponse:
    """The answer to a fault of ours. What went wrong goes to the log, where it is raised again, not to the caller."""
    return problem_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong in loopgauge",
        "The log says what.",
        # This answer is made outside of all middleware.
        headers=HEADERS,
    )


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of the application with problem details."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        return problem_of(error)

    for kind in PROBLEMS:
        app.add_exception_handler(kind, known)

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        # Nobody is there to read it; it is counted as this.
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        slug = status.phrase.lower().replace(" ", "-")
        unsaid = error.detail == status.phrase
        detail = f"{request.method} {request.url.path}: {status.phrase}" if unsaid else error.detail
        return problem_response(status, slug, status.phrase, detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [{"field": _readable(one["loc"]), "message": one["msg"]} for one in error.errors()]
        return problem_of(InvalidRequest("; ".join(f"{one['field']}: {one['message']}" for one in wrong)), errors=wrong)

    app.add_exception_handler(Exception, unexpected)
