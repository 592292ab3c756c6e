"""HTTP answers to errors: problem details (RFC 9457) with a stable `type`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from inspect import cleandoc
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from service.api.http.invalid_fields import describe_invalid
from service.api.http.json_answers import escape
from service.api.http.security_headers import HEADERS
from service.api.http.turns import TooManyWaiting
from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.signatures import SignatureRefused
from service.lifecycle.errors import (
    AmbiguousReference,
    BadReference,
    TooManyRelatives,
    UnknownSubject,
    UnknownTeam,
    UnreadableEvent,
)
from service.providers.cloudevents import InvalidEvent, NoCloudEvent
from service.queries.manual_event import ImplausibleEvent, KeyReused
from service.queries.retry import NotRetriable
from service.runtime.subprocess import ChildProcessFailed
from service.storage.cursors import InvalidCursor
from service.storage.errors import DatabaseMisconfigured, DatabaseRejected, DatabaseUnavailable

_MOST_FIELDS = 20
_LONGEST_NAME = 200


class UnknownSource(Exception):
    """No source has this name."""


class BodyTooLarge(Exception):
    """The body is larger than LOOPGAUGE_MAX_BODY_BYTES."""


class BodyTooSlow(Exception):
    """The body did not arrive in time."""


class BodyEncoded(Exception):
    """The body is compressed, or encoded in another way; send it as it is, without Content-Encoding."""


class Overloaded(Exception):
    """The bodies that are being received are together larger than LOOPGAUGE_MAX_INFLIGHT_BYTES."""


class IncompleteBody(Exception):
    """The body is shorter or longer than its Content-Length."""


class MalformedRequest(Exception):
    """The request breaks the rules of HTTP/1.1."""


class HeadTooLarge(Exception):
    """The head of the request, or the frame of its body, is too large."""


class HeadTooSlow(Exception):
    """The head of the request did not arrive in time."""


class UnsupportedRequest(Exception):
    """The service supports neither CONNECT nor transfer codings other than chunked."""


class UnsupportedVersion(Exception):
    """The service speaks HTTP/1.1 and HTTP/1.0 only."""


class UnknownDelivery(Exception):
    """No delivery has this id."""


class InvalidRequest(Exception):
    """A parameter or the body does not match its description; `errors` lists the invalid fields."""


class NotReady(Exception):
    """Deliveries cannot be stored, or the database schema is not current; `checks` says why."""


class TokenRefused(Exception):
    """The bearer token is missing or wrong."""


class TokenNotConfigured(Exception):
    """No token is configured for this endpoint."""


CLIENT_CLOSED_REQUEST = 499
"""The status of a request whose client disconnected before the answer, as in nginx."""

_MEDIA_TYPE = "application/problem+json"


class _Escaped(JSONResponse):
    """An answer whose texts control no terminal, also on the routes of webhooks, which no middleware sees."""

    def render(self, content: Any) -> bytes:
        return escape(super().render(content))


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem.

    Attributes:
        slug: the last part of `type`. Never change a slug, because clients compare it.
        former_slugs: the slugs of this problem in earlier releases. The answer lists these slugs as `aliases`, for
            clients that expect an old `type`.
    """

    status: HTTPStatus
    slug: str
    title: str
    headers: Mapping[str, str] = field(default_factory=dict)
    former_slugs: Sequence[str] = ()

    def document(self, detail: str) -> dict[str, Any]:
        """The problem details."""
        aliases = {"aliases": [_urn(slug) for slug in self.former_slugs]} if self.former_slugs else {}
        standard = {"type": _urn(self.slug), "title": self.title, "status": int(self.status), "detail": detail}
        return standard | aliases

    def response(self, detail: str, **members: Any) -> JSONResponse:
        """The answer with this problem's details and these additional members."""
        return _Escaped(self.document(detail) | members, self.status, dict(self.headers), media_type=_MEDIA_TYPE)


def _urn(slug: str) -> str:
    return f"urn:loopgauge:problem:{slug}"


PROBLEM = "Problem"
"""The name that the OpenAPI document gives to the schema for problem details."""
_TYPE = {"type": "string", "pattern": f"^{_urn('[a-z-]+')}$"}
PROBLEM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "title": PROBLEM,
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {**_TYPE, "description": "A stable identifier; compare this, not the title."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "The error in this request, and how to correct it."},
        "aliases": {
            "type": "array",
            "description": "Values that `type` had in earlier releases.",
            "items": _TYPE,
        },
        "errors": {
            "type": "array",
            "description": "The invalid fields.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "candidates": {
            "type": "array",
            "description": "The subjects that the reference may mean.",
            "items": {
                "type": "object",
                "required": ["reference", "title", "url"],
                "properties": {
                    "reference": {"type": "string"},
                    "title": {"type": "string", "description": "Empty if the title is unknown."},
                    "url": {"type": "string", "description": "The address of the page; empty if it is unknown."},
                },
            },
        },
    },
}
_RETRY_SOON = {"retry-after": "5"}

PROBLEMS: Mapping[type[Exception], ProblemType] = {
    SignatureRefused: ProblemType(
        HTTPStatus.UNAUTHORIZED,
        "signature-refused",
        "The signature is missing or wrong",
        {"www-authenticate": "Signature"},
    ),
    NoCloudEvent: ProblemType(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no-cloudevent", "The request is not a CloudEvent"),
    InvalidEvent: ProblemType(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-event", "The event is invalid"),
    UnreadableDelivery: ProblemType(HTTPStatus.BAD_REQUEST, "unreadable", "The body cannot be read"),
    UnknownSource: ProblemType(HTTPStatus.NOT_FOUND, "unknown-source", "No source has this name"),
    BodyTooLarge: ProblemType(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", "The body is too large"),
    BodyTooSlow: ProblemType(HTTPStatus.REQUEST_TIMEOUT, "body-too-slow", "The body did not arrive in time"),
    IncompleteBody: ProblemType(HTTPStatus.BAD_REQUEST, "incomplete-body", "The body is incomplete"),
    MalformedRequest: ProblemType(HTTPStatus.BAD_REQUEST, "malformed-request", "The request is malformed"),
    HeadTooLarge: ProblemType(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", "The head of the request is too large"
    ),
    HeadTooSlow: ProblemType(
        HTTPStatus.REQUEST_TIMEOUT, "head-too-slow", "The head of the request did not arrive in time"
    ),
    UnsupportedRequest: ProblemType(
        HTTPStatus.NOT_IMPLEMENTED, "unsupported-request", "The service does not support this kind of request"
    ),
    UnsupportedVersion: ProblemType(
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "unsupported-version", "The version of HTTP is not supported"
    ),
    BodyEncoded: ProblemType(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "body-encoded", "The body is encoded", {"accept-encoding": "identity"}
    ),
    Overloaded: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", "The service is receiving too much data", _RETRY_SOON
    ),
    TooManyWaiting: ProblemType(
        HTTPStatus.TOO_MANY_REQUESTS, "too-many-waiting", "Too many requests of this client wait", _RETRY_SOON
    ),
    DatabaseUnavailable: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE, "database-unavailable", "PostgreSQL is not available", _RETRY_SOON
    ),
    DatabaseMisconfigured: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE, "database-misconfigured", "PostgreSQL cannot be reached", _RETRY_SOON
    ),
    DatabaseRejected: ProblemType(HTTPStatus.BAD_REQUEST, "cannot-be-stored", "The request cannot be stored"),
    UnknownSubject: ProblemType(HTTPStatus.NOT_FOUND, "unknown-subject", "Nothing is stored about this reference"),
    UnreadableEvent: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "newer-events",
        "This version of loopgauge cannot read an event that a newer version stored",
    ),
    TooManyRelatives: ProblemType(
        HTTPStatus.CONFLICT, "too-many-relatives", "The subject has too many links or events"
    ),
    BadReference: ProblemType(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-reference", "The reference is malformed"),
    AmbiguousReference: ProblemType(
        HTTPStatus.UNPROCESSABLE_ENTITY, "ambiguous-reference", "The reference is ambiguous"
    ),
    UnknownTeam: ProblemType(HTTPStatus.NOT_FOUND, "unknown-team", "No experiment belongs to this team"),
    ChildProcessFailed: ProblemType(
        HTTPStatus.SERVICE_UNAVAILABLE, "figures-unavailable", "The scorecard cannot be computed now", _RETRY_SOON
    ),
    UnknownDelivery: ProblemType(HTTPStatus.NOT_FOUND, "unknown-delivery", "No delivery has this id"),
    NotRetriable: ProblemType(HTTPStatus.CONFLICT, "not-retriable", "The delivery cannot be retried"),
    ImplausibleEvent: ProblemType(
        HTTPStatus.UNPROCESSABLE_ENTITY, "impossible", "The experiment cannot have this event"
    ),
    KeyReused: ProblemType(
        HTTPStatus.UNPROCESSABLE_ENTITY, "key-reused", "The Idempotency-Key belongs to another request"
    ),
    InvalidCursor: ProblemType(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-cursor", "The cursor is invalid"),
    InvalidRequest: ProblemType(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "The request is invalid"),
    NotReady: ProblemType(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", "The service is not ready", _RETRY_SOON),
    TokenRefused: ProblemType(
        HTTPStatus.UNAUTHORIZED, "token-refused", "The token is missing or wrong", {"www-authenticate": "Bearer"}
    ),
    TokenNotConfigured: ProblemType(
        HTTPStatus.FORBIDDEN,
        "token-not-configured",
        "No token is configured for this endpoint",
        former_slugs=("door-closed",),
    ),
}
"""The problem type with which the service answers each of these errors."""

_INTERNAL = ProblemType(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal",
    "Internal error",
    # This answer bypasses the middleware that would add these headers.
    HEADERS,
)


def describe_problems(*kinds: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of the answers to these errors, with an example of each."""
    answers: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        problem = PROBLEMS[kind]
        answer = answers.setdefault(int(problem.status), {"description": problem.title, "content": {}})
        schema = {"$ref": f"#/components/schemas/{PROBLEM}"}
        content = answer["content"].setdefault(_MEDIA_TYPE, {"schema": schema, "examples": {}})
        content["examples"][problem.slug] = {"value": problem.document(_default_detail(kind))}
        for name in problem.headers:
            answer.setdefault("headers", {})[name.title()] = {"schema": {"type": "string"}}
    return answers


def _default_detail(kind: type[Exception]) -> str:
    """The first paragraph of the error's docstring."""
    return cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def problem_for(error: Exception, **members: Any) -> JSONResponse:
    """The answer to an error that `PROBLEMS` lists, with these additional members."""
    problem = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
    if isinstance(error, InvalidEvent):
        members["errors"] = [{"field": error.field, "message": error.problem}]
    if isinstance(error, AmbiguousReference):
        members["candidates"] = [asdict(candidate) for candidate in error.candidates]
    return problem.response(str(error) or _default_detail(type(error)), **members)


async def answer_internal_error(_request: Request, _error: Exception) -> JSONResponse:
    """The answer to an unexpected error. The answer says nothing about the error, so that clients learn no internals.
    Starlette raises the error again after this answer, so the server logs it.
    """
    return _INTERNAL.response("The log has the details.")


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of the application with problem details."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        return problem_for(error)

    for kind in PROBLEMS:
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(ClientDisconnect, _answer_disconnect)
    app.exception_handler(HTTPException)(answer_http_exception)
    app.exception_handler(RequestValidationError)(_answer_validation_error)
    app.add_exception_handler(Exception, answer_internal_error)


async def _answer_disconnect(_request: Request, _error: Exception) -> Response:
    # The client is gone, so only the request metrics record this status.
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def answer_http_exception(request: Request, error: HTTPException) -> JSONResponse:
    status = HTTPStatus(error.status_code)
    phrase = status.phrase
    detail = f"{request.method} {shorten_named(request.url.path)}: {phrase}" if error.detail == phrase else error.detail
    headers = dict(error.headers or {})
    allowed = headers.pop("Allow", headers.pop("allow", ""))
    if allowed:
        headers["allow"] = ", ".join(_with_head(allowed.split(", ")))
    return ProblemType(status, phrase.lower().replace(" ", "-"), phrase, headers).response(detail)


def _with_head(methods: Sequence[str]) -> list[str]:
    """The methods of a route and HEAD, if GET is among them."""
    return sorted({*methods, "HEAD"} if "GET" in methods else methods)


async def _answer_validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
    found = error.errors()
    fields = [{"field": _dotted(each["loc"]), "message": describe_invalid(each)} for each in found[:_MOST_FIELDS]]
    told = [f"{invalid['field']}: {invalid['message']}" for invalid in fields]
    told += [f"{len(found) - _MOST_FIELDS} more"] if len(found) > _MOST_FIELDS else []
    return problem_for(InvalidRequest("; ".join(told)), errors=fields)


def _dotted(path: Iterable[object]) -> str:
    """A field's path, such as `body.event`. Characters that UTF-8 cannot encode (lone surrogates) are escaped."""
    return shorten_named(".".join(map(str, path)).encode("utf-8", "backslashreplace").decode())


def shorten_named(name: str) -> str:
    """A name that the client chose, so short that the answer is hardly longer than the request."""
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
