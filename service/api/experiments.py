"""`/experiments`: the experiments page by page, one of them, and why it counts or does not."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict

from service.api.http.auth import TokenGuard
from service.api.http.problems import TokenNotConfigured, TokenRefused, describe_problems
from service.api.http.strict_route import StrictRoute
from service.api.http.timestamps import Timestamp
from service.lifecycle.errors import BadReference, UnknownSubject
from service.lifecycle.taxonomy import FailureCategory, Outcome, State
from service.metrics.terms import Terms
from service.presentation.experiments import EXPERIMENT, ExperimentAnswer, experiment_answer
from service.presentation.explanation import ExplanationAnswer, answer
from service.queries.experiments import ExperimentFilter, find_experiment, list_experiments
from service.queries.explain import explain, find_subject
from service.storage.database import Database, DatabaseUnavailable
from service.storage.inbox import InvalidCursor
from service.storage.listing import Sort

# PostgreSQL keeps any text but one with the character NUL.
_TEXT = r"^[^\x00]+$"

ExperimentName = Annotated[
    str,
    Path(
        description="The experiment's id, or its reference under any of its names; `#` is written `%23` in a path.",
        pattern=_TEXT,
        examples=["github:acme/app#45", EXPERIMENT["id"]],
    ),
]
"""How an experiment is named in a path."""


class ExperimentPage(BaseModel):
    """Experiments in the order that was asked for; `next` is the cursor of the next page, or null."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"experiments": [EXPERIMENT], "next": None}]})

    experiments: list[ExperimentAnswer]
    next: str | None


def router(database: Database, read_guard: TokenGuard, terms: Terms, clock: Callable[[], datetime]) -> APIRouter:
    """The endpoints of experiments that read.

    Args:
        read_guard: who may see them.
        terms: those of the figures.
        clock: the time now, UTC.
    """
    routes = APIRouter(
        prefix="/experiments", tags=["experiments"], dependencies=[Depends(read_guard)], route_class=StrictRoute
    )

    @routes.get("", summary="Experiments, newest idea first", responses=_OF_LISTS)
    async def experiments(
        ref: Annotated[
            str | None,
            Query(
                pattern=_TEXT,
                description="An id, or any name of an experiment, or of evidence for it: `commit:<sha>`, a change.",
                examples=["github:acme/app#45"],
            ),
        ] = None,
        team: Annotated[
            str | None,
            Query(
                pattern=r"^(_none|[^_\x00][^\x00]*)$",
                description="In any case; `_none` for experiments that no team is named for.",
                examples=["search"],
            ),
        ] = None,
        state: State | None = None,
        outcome: Outcome | None = None,
        failure_category: FailureCategory | None = None,
        overdue: Annotated[
            bool | None, Query(description="Open and older than the team's threshold, as the figures have it.")
        ] = None,
        forgotten: Annotated[
            bool | None, Query(description="Open and without activity for too long, as the figures have it.")
        ] = None,
        since: Timestamp | None = None,
        until: Timestamp | None = None,
        sort: Annotated[
            Sort,
            Query(description="Behind a minus, the latest first. By `concluded_at` only concluded ones are listed."),
        ] = "-idea_at",
        cursor: Annotated[
            str | None,
            Query(pattern=r"^[A-Za-z0-9_=-]+$", description="`next` of the page before, with the same filters."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> ExperimentPage:
        """All filters that are given hold together; `since` (inclusive) and `until` (exclusive) are about the idea.

        Pages are stable: an experiment that stays as it is while they are read is on one of them and no other, whatever
        happens to others meanwhile. One whose own `sort` instant changes moves in the order, so take `idea_at` to read
        everything.
        """
        asked = ExperimentFilter(ref, team, state, outcome, failure_category, overdue, forgotten, since, until)
        found, following = await list_experiments(
            database, asked, terms, clock(), sort=sort, cursor=cursor, limit=limit
        )
        return ExperimentPage(experiments=[experiment_answer(one) for one in found], next=following)

    @routes.get(
        "/{experiment:path}/explain",
        summary="Every event of an experiment, its clocks, sources and rules, and each figure that it counts in",
        description="Of evidence, such as a commit, what it serves. Folded anew from all that is known at this moment.",
        responses=_OF_ONE,
    )
    async def explained(experiment: ExperimentName) -> ExplanationAnswer:
        subject = await find_subject(database, experiment)
        return answer(await explain(database, subject, terms, clock()))

    # Otherwise a path that only POST knows would be taken for an experiment's name.
    @routes.get("/{experiment:path}/events", include_in_schema=False)
    async def nothing_to_get(experiment: str) -> None:  # noqa: ARG001 - it is in the path
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": "POST"})

    @routes.get("/{experiment:path}", summary="One experiment", responses=_OF_ONE)
    async def one(experiment: ExperimentName) -> ExperimentAnswer:
        """As it was folded last, a moment after what was said about it was stored."""
        return experiment_answer(await find_experiment(database, experiment, terms, clock()))

    return routes


_OF_LISTS = describe_problems(TokenRefused, TokenNotConfigured, BadReference, InvalidCursor, DatabaseUnavailable)
_OF_ONE = describe_problems(TokenRefused, TokenNotConfigured, UnknownSubject, BadReference, DatabaseUnavailable)
