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
_FOUR_QUESTIONS = (
    "Answers to the four questions: how long from the idea to the answer, when a failure was last shared, which kind "
    "of failure is the biggest, and whether ideas are bold or safe"
)
_SCORECARD = "/scorecard"
_PAGE_OF_SCORECARD = "?format=html"
_COMMANDS = {
    _SCORECARD: "loopgauge scorecard",
    "/experiments": "loopgauge experiments list",
    "/sources": "loopgauge sources",
    "/deliveries": "loopgauge deliveries list",
}
"""The command that prints a table of what a path returns."""
_EXAMPLE: JsonDict = {
    "name": "loopgauge",
    "version": "1.0.0",
    "about": _ABOUT,
    "ready": True,
    "hint": None,
    "links": [
        {
            "path": _SCORECARD,
            "about": _FOUR_QUESTIONS,
            "access": "token",
            "setting": "LOOPGAUGE_API_TOKENS__READ",
        }
    ],
}


class Link(BaseModel):
    """A path of this service. `access` says whether this client may open it. With `token`, the client must send the
    token that the environment variable named in `setting` configures. With `closed`, no client may open the path until
    this variable is set.
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
    root_path: str = "",
) -> APIRouter:
    """Build the route of the home page.

    Args:
        check: returns whether the service is ready, and the result of each check.
        read_guard: guards the routes that read data; None if this process has no such routes and receives no webhooks.
        has_sources: whether a source is configured.
        root_path: the prefix under which a proxy serves the service; empty if there is none.
    """
    hint = None if has_sources or read_guard is None else _NO_SOURCE
    routes = APIRouter(tags=["home"])
    targets = list(_targets(metrics_guard, read_guard))

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
        links = [_link(target, request, root_path) for target in targets]
        shown = Home(version=version, ready=ready, hint=hint, links=links)
        response = _page(shown, root_path) if prefers_html(request) else JSONResponse(shown.model_dump())
        response.headers.update(VARY)
        return response

    return routes


def _targets(metrics_guard: TokenGuard, read_guard: TokenGuard | None) -> Iterator[_Target]:
    yield _Target("/docs", "The API, with examples")
    yield _Target("/metrics", "The metrics, for Prometheus", metrics_guard)
    if read_guard is not None:
        yield _Target(_SCORECARD, _FOUR_QUESTIONS, read_guard)
        yield _Target("/experiments", "The experiments, newest first", read_guard)
        yield _Target("/sources", "The sources, and what each of them sent", read_guard)
        yield _Target("/deliveries", "The deliveries of your tools, each with its status and the reason", read_guard)
    yield _Target("/readyz", "The readiness check")


def _link(target: _Target, request: Request, root_path: str) -> Link:
    access = target.guard.access(request) if target.guard else "open"
    setting = target.guard.setting if target.guard and access != "open" else None
    return Link(path=f"{root_path}{target.path}", about=target.about, access=access, setting=setting)


def _page(home: Home, root_path: str) -> Response:
    # Without a configured prefix, relative links also work behind a proxy that adds one.
    base = f"{root_path}/" if root_path else ""
    status = (
        "Ready: loopgauge can store deliveries."
        if home.ready
        else f'Not ready: <a href="{base}readyz">the readiness check</a> gives the reason.'
    )
    hint = f"<p>{escape(home.hint)}</p>\n" if home.hint else ""
    links = "\n".join(_entry(link, root_path, base) for link in home.links)
    locked = [link.path for link in home.links if link.access == "token"]
    sign_in = _SIGN_IN if f"{root_path}{_SCORECARD}" in locked else ""
    tokens = _TOKENS.format(base=base, sign_in=sign_in) if locked else ""
    return page(
        "loopgauge",
        f'<p>{escape(home.about)}</p>\n<p class="status">{status}</p>\n{hint}<dl>\n{links}\n</dl>\n{tokens}'
        f"<p>Version {escape(home.version)}</p>",
    )


_TOKENS = (
    '<p>{sign_in}In <a href="{base}docs">the API</a>, press <em>Authorize</em> to enter a token. Programs send it as '
    "a header:</p>\n"
    "<pre>curl --header 'Authorization: Bearer &lt;token&gt;' &lt;address&gt;</pre>\n"
)
_SIGN_IN = "To sign this browser in, open the link that <code>loopgauge sign-in</code> prints where the service runs. "


def _entry(link: Link, root_path: str, base: str) -> str:
    path = link.path.removeprefix(root_path)
    # Lead people to the page instead of the JSON.
    target = escape(f"{path.removeprefix('/')}{_PAGE_OF_SCORECARD if path == _SCORECARD else ''}")
    command = f" In a terminal: <code>{_COMMANDS[path]}</code>." if path in _COMMANDS else ""
    setting = f"<code>{escape(link.setting or '')}</code>"
    match link.access:
        case "open":
            note = ""
        case "token":
            note = f" Needs the token of {setting}."
        case "closed":
            note = f" Closed until {setting} is set."
    return f'<dt><a href="{base}{target}">{escape(link.path)}</a></dt>\n<dd>{escape(link.about)}.{command}{note}</dd>'
