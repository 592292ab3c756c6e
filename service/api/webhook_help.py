"""The answer to a GET of a webhook's address: what the address is for and, once GitHub has created an App from a
manifest, the command to run next. The service itself requests nothing from GitHub.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.api.http.negotiation import VARY, prefers_html
from service.api.http.openapi import Document
from service.api.http.page import page
from service.api.http.problems import UnknownSource, describe_problems, problem_for

# Show a code only if it has the form of GitHub's codes: otherwise a link could make the page show another command.
_CODE = re.compile(r"[A-Za-z0-9_-]{1,100}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_PURPOSE = (
    "This address receives the webhooks of the source {}. Enter the address in your tool, which then sends signed "
    "POST requests."
)
_CREATED = (
    "GitHub has created the App. If you have just created it yourself, run this command within an hour. Its response "
    "has the webhook_secret, which GitHub shows only once."
)
_MALFORMED = "The code in this address is not one of GitHub's. Create the App from the manifest again."


class WebhookHelp(BaseModel):
    """The purpose of a webhook's address, the command to run next, and the step after this command."""

    source: str
    method: Literal["POST"] = "POST"
    message: str
    command: str | None = None
    next_step: str | None = None


_EXAMPLE = WebhookHelp(source="github", message=_PURPOSE.format("github")).model_dump()
_OPERATION: Document = {
    "operationId": "get_webhook",
    "tags": ["webhooks"],
    "summary": "Say what the address of a webhook is for",
    "description": (
        "Answers people who open the address in a browser. GitHub redirects to this address after it has created an "
        "App from a manifest: `command` is then the command that shows the secret of the App's webhook."
    ),
    "responses": {
        "200": {
            "description": "The purpose of the address",
            "content": {
                "application/json": {"schema": WebhookHelp.model_json_schema(), "example": _EXAMPLE},
                "text/html": {"schema": {"type": "string"}, "example": "<!DOCTYPE html>"},
            },
        },
        **{str(status): answer for status, answer in describe_problems(UnknownSource).items()},
    },
}
_PARAMETER: Document = {
    "name": "code",
    "in": "query",
    "description": "The code that GitHub adds after it has created an App.",
    "schema": {"type": "string"},
}


def describe_visit(path_parameters: Iterable[Document]) -> Document:
    """The OpenAPI description of `answer_visit`."""
    return {**_OPERATION, "parameters": [*path_parameters, _PARAMETER]}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a webhook.

    Attributes:
        source: the name of its source.
        provider: the name of the source's provider; None if the source is not configured.
        nearest: the path of the configured source that is probably meant; empty if none is near.
    """

    source: str
    provider: str | None
    nearest: str = ""

    @property
    def setting(self) -> str:
        """The variable that configures the source."""
        return f"LOOPGAUGE_SOURCES__{self.source.upper()}__SECRET"

    def unknown(self) -> UnknownSource:
        """The error if the source is not configured."""
        return UnknownSource(f"no source {self.source!r} is configured; {self.hint()}set {self.setting}")

    def hint(self) -> str:
        """The question whether the nearest source is meant; empty if no source is near."""
        return f"did you mean {self.nearest}? If not, " if self.nearest else ""


def answer_visit(request: Request, address: Address) -> Response:
    """Answer a GET of a webhook's address with a page if `Accept` prefers HTML, and with JSON otherwise."""
    as_page = prefers_html(request)
    code = request.query_params.get("code")
    if address.provider is None and (code is None or not _NAME.fullmatch(address.source)):
        response = _unknown(address, as_page=as_page)
    else:
        shown = _help(address, code)
        response = _page(shown, HTTPStatus.OK) if as_page else JSONResponse(shown.model_dump())
    response.headers.update(VARY)
    return response


def _unknown(address: Address, *, as_page: bool) -> Response:
    if not as_page:
        return problem_for(address.unknown())
    hint = f"Did you mean {address.nearest}? If not, set" if address.nearest else "Set"
    message = f"No source {address.source} is configured. {hint} {address.setting}, and restart loopgauge."
    return _page(WebhookHelp(source=address.source, message=message), HTTPStatus.NOT_FOUND)


def _help(address: Address, code: str | None) -> WebhookHelp:
    # GitHub shows the secret of an App's webhook only after the redirect, so its source is often not configured yet.
    if code is None or address.provider not in {"github", None}:
        return WebhookHelp(source=address.source, message=_PURPOSE.format(address.source))
    if not _CODE.fullmatch(code):
        return WebhookHelp(source=address.source, message=_MALFORMED)
    return WebhookHelp(
        source=address.source,
        message=_CREATED,
        command=f"curl --request POST https://api.github.com/app-manifests/{code}/conversions",
        next_step=f"Set {address.setting} to this secret, and restart loopgauge. It needs no other secret of the App.",
    )


def _page(shown: WebhookHelp, status: HTTPStatus) -> Response:
    parts = [f"<p>{escape(shown.message)}</p>"]
    if shown.command is not None:
        parts.append(f"<pre>{escape(shown.command)}</pre>")
    if shown.next_step is not None:
        parts.append(f"<p>{escape(shown.next_step)}</p>")
    return page("A webhook of loopgauge", "\n".join(parts), status)
