"""`/experiments`: lists and shows experiments, and explains why an experiment counts or does not count."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict

from service.api.http.auth import TokenGuard
from service.api.http.problems import TokenNotConfigured, TokenRefused, describe_problems
from service.api.http.strict_route import StrictRoute
from service.api.http.timestamps import Timestamp
from service.api.parameters import NAMES, TEXT, ExperimentName
from service.lifecycle.errors import AmbiguousReference, BadReference, TooManyRelatives, UnknownSubject
from service.lifecycle.taxonomy import FailureCategory, Outcome, State
from service.metrics.terms import Terms
from service.presentation.experiments import EXPERIMENT, ExperimentAnswer, experiment_answer
from service.presentation.explanation import ExplanationAnswer, explanation_answer
from service.queries.experiments import ExperimentFilter, find_experiment, list_experiments
from service.queries.explain import explain
from service.queries.subjects import find_subject
from service.storage.cursors import InvalidCursor
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable
from service.storage.listing import Sort, StateFilter


class ExperimentPage(BaseModel):
    """A page of experiments in the requested order. `next` is the cursor of the next page, or null on the last page."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"experiments": [EXPERIMENT], "next": None}]})

    experiments: list[ExperimentAnswer]
    next: str | None


def build_router(
    database: Database,
    read_guard: TokenGuard,
    terms: Terms,
    commanding: Collection[str],
    clock: Callable[[], datetime],
    marks: Mapping[str, str],
) -> APIRouter:
    """Build the routes that read experiments.

    Args:
        commanding: the providers whose comments may give commands.
        terms: the windows, thresholds and limits of the metrics.
        clock: returns the current time, UTC.
        marks: by provider, how people mark an item as an experiment.
    """
    routes = APIRouter(
        prefix="/experiments", tags=["experiments"], dependencies=[Depends(read_guard)], route_class=StrictRoute
    )

    @routes.get("", summary="List experiments, newest idea first", responses=_LIST_PROBLEMS)
    async def experiments(
        ref: Annotated[
            str | None,
            Query(
                pattern=TEXT,
                description=f"The experiment, or its evidence: {NAMES}",
                examples=["github:acme/app#45", "https://github.com/acme/app/pull/7/files", "ML-12"],
            ),
        ] = None,
        team: Annotated[
            str | None,
            Query(
                pattern=r"^(_none|[^_\x00][^\x00]*)$",
                description="Case-insensitive. `_none` selects experiments without a team.",
                examples=["search"],
            ),
        ] = None,
        state: Annotated[
            Literal["open", "proposed", "running", "concluded"] | None,
            Query(description="`open` lists experiments that are proposed or running."),
        ] = None,
        outcome: Outcome | None = None,
        failure_category: FailureCategory | None = None,
        overdue: Annotated[
            bool | None,
            Query(
                description="`true` lists only open experiments that are older than their team's idea-to-answer "
                "threshold; `false` lists all other experiments, open or concluded."
            ),
        ] = None,
        forgotten: Annotated[
            bool | None,
            Query(
                description="`true` lists only open experiments without activity for LOOPGAUGE_FORGOTTEN_AFTER; "
                "`false` lists all other experiments, open or concluded."
            ),
        ] = None,
        since: Timestamp | None = None,
        until: Timestamp | None = None,
        sort: Annotated[
            Sort,
            Query(
                description="A leading `-` sorts the latest first. A list sorted by `concluded_at` contains only "
                "concluded experiments."
            ),
        ] = "-idea_at",
        cursor: Annotated[
            str | None,
            Query(
                pattern=r"^[A-Za-z0-9_=-]+$",
                description="The value of `next` in the previous page. Repeat the filters of that page.",
            ),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> ExperimentPage:
        """The list contains the experiments that match all filters. `since` (inclusive) and `until` (exclusive) filter
        by `idea_at`.

        Pages are stable: an experiment that does not change is on exactly one page, even if other experiments change
        while you read the pages. An experiment whose `sort` field changes can move to another page, so sort by
        `idea_at` to read all experiments.
        """
        criteria = ExperimentFilter(
            ref, team, _state(state), outcome, failure_category, overdue, forgotten, since, until
        )
        statuses, following = await list_experiments(
            database, criteria, terms, clock(), sort=sort, cursor=cursor, limit=limit
        )
        return ExperimentPage(experiments=[experiment_answer(status) for status in statuses], next=following)

    @routes.get(
        "/{experiment:path}/explain",
        summary="Explain an experiment: its timeline, the statements in force, and the metrics that count it",
        description=(
            "If the path names evidence, such as a commit, `serves` lists the experiments that the evidence belongs to."
        ),
        responses=_EXPLAIN_PROBLEMS,
    )
    async def explained(
        experiment: ExperimentName,
        cursor: Annotated[
            str | None,
            Query(
                pattern=r"^[A-Za-z0-9_=-]+$",
                description="The value of `next` in the previous page: list the events that come after that page.",
            ),
        ] = None,
    ) -> ExplanationAnswer:
        subject = await find_subject(database, experiment)
        return explanation_answer(await explain(database, subject, terms, clock(), cursor), commanding, marks)

    # Without this route, `GET /experiments/{experiment}/events` would look up an experiment named `…/events`.
    @routes.get("/{experiment:path}/events", include_in_schema=False)
    async def nothing_to_get(experiment: str) -> None:  # noqa: ARG001 - the path contains this parameter
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": "POST"})

    @routes.get("/{experiment:path}", summary="Show an experiment", responses=_ITEM_PROBLEMS)
    async def one(experiment: ExperimentName) -> ExperimentAnswer:
        """The answer shows a change moments after the service receives the delivery that reports the change."""
        return experiment_answer(await find_experiment(database, experiment, terms, clock()))

    return routes


def _state(asked: Literal["open", "proposed", "running", "concluded"] | None) -> StateFilter | None:
    return asked if asked is None or asked == "open" else State(asked)


_LIST_PROBLEMS = describe_problems(
    TokenRefused, TokenNotConfigured, BadReference, AmbiguousReference, InvalidCursor, DatabaseUnavailable
)
_ITEM_ERRORS = (
    TokenRefused,
    TokenNotConfigured,
    UnknownSubject,
    BadReference,
    AmbiguousReference,
    TooManyRelatives,
    DatabaseUnavailable,
)
_ITEM_PROBLEMS = describe_problems(*_ITEM_ERRORS)
_EXPLAIN_PROBLEMS = describe_problems(*_ITEM_ERRORS, InvalidCursor)
