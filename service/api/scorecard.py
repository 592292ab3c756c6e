"""`GET /scorecard`: the four questions, for the organisation or for one team."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, WithJsonSchema

from service.api.http.auth import TokenGuard
from service.api.http.problems import TokenNotConfigured, TokenRefused, describe_problems
from service.api.http.strict_route import StrictRoute
from service.lifecycle.durations import parse_window, spell_duration
from service.metrics.terms import Window
from service.metrics.view import ORGANISATION
from service.queries.scorecard import UnknownTeam
from service.runtime.scorekeeper import Scorekeeper
from service.runtime.subprocess import ChildProcessFailed
from service.scorecard.example import example
from service.scorecard.figure import Scorecard
from service.storage.database import DatabaseUnavailable

PATH = "/scorecard"
DEFAULT_WINDOW = "90d"
# Those of hours and days; minutes and seconds are taken too.
_PATTERN = "^([1-9][0-9]{0,3}h|([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-4][0-9]|365[0-3])d)$"


def _spelt(window: str) -> str:
    return spell_duration(parse_window(window))


_Window = Annotated[
    str,
    AfterValidator(_spelt),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["30d", "90d"]}),
    Query(description="How far back from now, such as `36h` or `90d`; an hour at the least, ten years at the most."),
]
_Team = Annotated[
    str,
    AfterValidator(str.strip),
    Query(description="One of `teams`; the organisation if not given.", examples=["search"], min_length=1),
]
_REFUSALS = describe_problems(TokenRefused, TokenNotConfigured, UnknownTeam, DatabaseUnavailable, ChildProcessFailed)


def add_example(document: dict[str, Any]) -> None:
    """Give the OpenAPI description an example of a scorecard: FastAPI would leave out whatever is null in it."""
    answer = document["paths"][PATH]["get"]["responses"]["200"]
    answer["content"]["application/json"]["example"] = example().model_dump(mode="json")


def router(scorekeeper: Scorekeeper, read_guard: TokenGuard) -> APIRouter:
    """The endpoint of the scorecard.

    Args:
        scorekeeper: compiles it.
        read_guard: who may see it.
    """
    routes = APIRouter(tags=["scorecard"], dependencies=[Depends(read_guard)], route_class=StrictRoute)

    @routes.get(
        PATH,
        summary="The four questions, for the organisation or one team",
        response_model=Scorecard,
        responses=_REFUSALS,
    )
    async def scorecard(team: _Team = ORGANISATION, window: _Window = DEFAULT_WINDOW) -> Response:
        """Each figure is an object: its `value`, in `words` too where that helps, and `n`, on how many experiments it
        rests. Where there is no value, `reason` says why. `previous` is the same figure for the window before.

        The figures are those of `/metrics`, of this moment or a few seconds ago.
        """
        return Response(
            await scorekeeper.scorecard(team, Window(window, parse_window(window))), media_type="application/json"
        )

    return routes
