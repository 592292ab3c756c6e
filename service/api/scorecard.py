"""`GET /scorecard`: answers the four questions for the organisation or one team."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, WithJsonSchema

from service.api.http.auth import TokenGuard
from service.api.http.openapi import Document
from service.api.http.problems import TokenNotConfigured, TokenRefused, describe_problems
from service.api.http.strict_route import StrictRoute
from service.api.http.turns import TooManyWaiting, Turns
from service.api.scorecard_page import scorecard_page
from service.lifecycle.durations import format_duration, parse_window
from service.lifecycle.errors import UnknownTeam
from service.metrics.terms import Window
from service.metrics.view import ORGANISATION
from service.runtime.subprocess import ChildProcessFailed
from service.scorecard.example import example
from service.scorecard.figure import Scorecard
from service.storage.errors import DatabaseUnavailable

CompileScorecard: TypeAlias = Callable[[str, Window], Awaitable[bytes]]
"""Compiles the scorecard of a team and a window as JSON."""

PATH = "/scorecard"
DEFAULT_WINDOW = "90d"
# The pattern allows hours, days and weeks. The parser also accepts words, such as `2 weeks`, minutes and seconds.
_PATTERN = (
    "^([1-9][0-9]{0,3}h|([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-4][0-9]|365[0-3])d"
    "|([1-9][0-9]?|[1-4][0-9]{2}|5[01][0-9]|52[01])w)$"
)


def _canonical_window(window: str) -> str:
    return format_duration(parse_window(window))


_Window = Annotated[
    str,
    AfterValidator(_canonical_window),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["30d", "90d", "2w"]}),
    Query(description="How far to look back from now, such as `36h`, `90d` or `2w`; from one hour to ten years."),
]
_Team = Annotated[
    str,
    AfterValidator(str.strip),
    Query(
        description="The name of a team; each scorecard lists these names in `teams`. By default, the scorecard covers "
        "the organisation.",
        examples=["search"],
        min_length=1,
    ),
]
_Format = Annotated[
    Literal["json", "html"], Query(alias="format", description="`html` returns a page for people, with a table.")
]
_PAGE: dict[int | str, Document] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}, "example": "<!DOCTYPE html>"}}}
}
_PROBLEMS = describe_problems(
    TokenRefused, TokenNotConfigured, UnknownTeam, TooManyWaiting, DatabaseUnavailable, ChildProcessFailed
)


def describe_scorecard(document: Document) -> None:
    """Add an example to the finished OpenAPI document. FastAPI would remove the null members of the example."""
    answer = document["paths"][PATH]["get"]["responses"]["200"]
    answer["content"]["application/json"]["example"] = example().model_dump(mode="json")


def build_router(compile_scorecard: CompileScorecard, read_guard: TokenGuard) -> APIRouter:
    """Build the route of the scorecard."""
    routes = APIRouter(tags=["scorecard"], dependencies=[Depends(read_guard)], route_class=StrictRoute)
    turns = Turns()

    @routes.get(
        PATH,
        summary="Answer the four questions for the organisation or one team",
        response_model=Scorecard,
        responses={**_PAGE, **_PROBLEMS},
    )
    async def scorecard(
        request: Request, team: _Team = ORGANISATION, window: _Window = DEFAULT_WINDOW, answer: _Format = "json"
    ) -> Response:
        """The four questions are how long it takes from an idea to knowing whether it worked, when a failure was last
        shared, which group of failures is the biggest, and whether ideas are bold or safe.

        Each metric is an object with a `value`, the number `n` of experiments behind the value and, often, the value in
        `words`. If there is no value, `reason` says why. `previous` is the same metric as it was one window ago.

        The values are computed as for `/metrics`, and are at most a few seconds old. The scorecards of one client are
        compiled one after the other; a client that has too many requests waiting gets a 429.
        """
        async with turns.turn(request):
            compiled = await compile_scorecard(team, Window(window, parse_window(window)))
        return scorecard_page(compiled) if answer == "html" else Response(compiled, media_type="application/json")

    return routes
