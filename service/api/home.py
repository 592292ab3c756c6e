"""`GET /`: what this service is, and links to what it offers: a page for people, and JSON for programs."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

from service.api.http.auth import TokenGuard
from service.api.http.negotiation import VARY, prefers_html
from service.api.http.page import page

_ABOUT = (
    "loopgauge measures how long your organisation takes from an idea to knowing whether it worked, "
    "and what kinds of failures it learns from."
)
_NO_SOURCE = (
    "No source is configured, so every webhook is refused. To connect GitHub, set LOOPGAUGE_SOURCES__GITHUB__SECRET "
    "to a secret, restart loopgauge, and enter the same secret in GitHub."
)
_EXAMPLE: JsonDict = {
    "name": "loopgauge",
    "version": "1.0.0",
    "about": _ABOUT,
    "ready": True,
    "hint": None,
    "links": [
        {
            "path": "/scorecard",
            "about": "Answers to the four questions",
            "access": "token",
            "setting": "LOOPGAUGE_API_TOKENS__READ",
        }
    ],
}


class Link(BaseModel):
    """A path of this service. `access` says whether this client may open it: `open`, `token` (send the token of
    `setting`) or `closed` (until `setting` is set).
    """

    path: str
    about: str
    access: Literal["open", "token", "closed"]
    setting: str | None


class Home(BaseModel):
    """The purpose of this service, its readiness, its links, and what to configure next."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Literal["loopgauge"] = "loopgauge"
    version: str
    about: str = _ABOUT
    ready: bool
    hint: str | None
    links: list[Link]


@dataclass(frozen=True, slots=True)
class _Target:
    path: str
    about: str
    guard: TokenGuard | None = None


def build_router(
    check: Callable[[], Awaitable[tuple[bool, Mapping[str, str]]]],
    version: str,
    metrics_guard: TokenGuard,
    read_guard: TokenGuard | None,
    *,
    has_sources: bool,
) -> APIRouter:
    """Build the route of the home page.

    Args:
        check: returns whether the service is ready, and the result of each check.
        read_guard: guards the routes that read data; None if this process has no such routes and receives no webhooks.
        has_sources: whether a source is configured.
    """
    hint = None if has_sources or read_guard is None else _NO_SOURCE
    routes = APIRouter(tags=["home"])
    targets = list(_targets(metrics_guard, read_guard))

    @routes.head("/", include_in_schema=False)
    @routes.get(
        "/",
        summary="Link to what this service offers",
        response_model=None,
        responses={
            200: {
                "model": Home,
                "description": "The links",
                "content": {"text/html": {"schema": {"type": "string"}, "example": "<!DOCTYPE html>"}},
            }
        },
    )
    async def home(request: Request) -> Response:
        """Answers with a page if `Accept` prefers HTML, as browsers do, and with JSON otherwise."""
        ready, _ = await check()
        links = [_link(target, request) for target in targets]
        shown = Home(version=version, ready=ready, hint=hint, links=links)
        response = _page(shown) if prefers_html(request) else JSONResponse(shown.model_dump())
        response.headers.update(VARY)
        return response

    return routes


def _targets(metrics_guard: TokenGuard, read_guard: TokenGuard | None) -> Iterator[_Target]:
    yield _Target("/docs", "The API, with examples")
    yield _Target("/metrics", "The metrics, for Prometheus", metrics_guard)
    if read_guard is not None:
        yield _Target("/scorecard", "Answers to the four questions", read_guard)
        yield _Target("/experiments", "The experiments, newest first", read_guard)
        yield _Target("/sources", "The sources, and what each of them sent", read_guard)
        yield _Target("/deliveries", "The deliveries of your tools, each with its status and the reason", read_guard)
    yield _Target("/readyz", "The readiness check")


def _link(target: _Target, request: Request) -> Link:
    access = target.guard.access(request) if target.guard else "open"
    setting = target.guard.setting if target.guard and access != "open" else None
    return Link(path=target.path, about=target.about, access=access, setting=setting)


def _page(home: Home) -> Response:
    status = (
        "Ready: loopgauge can store deliveries."
        if home.ready
        else 'Not ready: <a href="readyz">the readiness check</a> gives the reason.'
    )
    hint = f"<p>{escape(home.hint)}</p>\n" if home.hint else ""
    links = "\n".join(map(_entry, home.links))
    tokens = _TOKENS if any(link.access == "token" for link in home.links) else ""
    return page(
        "loopgauge",
        f'<p>{escape(home.about)}</p>\n<p class="status">{status}</p>\n{hint}<dl>\n{links}\n</dl>\n{tokens}'
        f"<p>Version {escape(home.version)}</p>",
    )


_TOKENS = (
    '<p>A browser sends no token. Open <a href="docs">the API</a> and press <em>Authorize</em> to enter one, '
    "or send it as a header:</p>\n"
    "<pre>curl --header 'Authorization: Bearer &lt;token&gt;' &lt;address&gt;</pre>\n"
)


def _entry(link: Link) -> str:
    # Relative links also work behind a proxy that adds a prefix to the paths.
    name = escape(link.path.removeprefix("/"))
    setting = f"<code>{escape(link.setting or '')}</code>"
    match link.access:
        case "open":
            note = ""
        case "token":
            note = f" Needs the token of {setting}."
        case "closed":
            note = f" Closed until {setting} is set."
    return f'<dt><a href="{name}">/{name}</a></dt>\n<dd>{escape(link.about)}.{note}</dd>'
