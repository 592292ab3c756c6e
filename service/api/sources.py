"""`GET /sources`: lists the configured sources, and what each of them sent."""

from collections.abc import Callable, Mapping
from datetime import datetime

from fastapi import APIRouter, Depends

from service.api.http.auth import TokenGuard
from service.api.http.strict_route import StrictRoute
from service.api.receipts import SOURCE
from service.api.refused_requests import FindRefused
from service.deliveries.delivery import Source
from service.presentation.sources import SourcesAnswer, source_answer, source_path
from service.queries.sources import read_activity
from service.storage.database import Database


def build_router(
    database: Database,
    sources: Mapping[str, Source],
    root_path: str,
    read_guard: TokenGuard,
    clock: Callable[[], datetime],
    find_refused: FindRefused = lambda _: None,
) -> APIRouter:
    """Build the route that lists the sources.

    Args:
        sources: the configured sources by name.
        root_path: the prefix under which a proxy serves the service; empty if there is none.
        clock: returns the current time, UTC.
        find_refused: finds the requests to a source that this process refused.
    """
    routes = APIRouter(tags=["deliveries"], dependencies=[Depends(read_guard)], route_class=StrictRoute)
    providers = {SOURCE: SOURCE} | {name: source.provider.name for name, source in sources.items()}
    paths = {name: f"{root_path}{source_path(name, provider)}" for name, provider in providers.items()}

    @routes.get("/sources", summary="List the sources, and what each of them sent")
    async def list_sources() -> SourcesAnswer:
        """A source is a configured sender of webhooks. The source `cloudevents` also has the events that clients post
        to `POST /events` and `POST /experiments/{experiment}/events`.

        The list also has sources that sent deliveries but are not configured now. It shows no secret.
        """
        activities, since = await read_activity(database, {*sources, SOURCE}, clock())
        shown = [source_answer(each, sources, paths, find_refused(each.name)) for each in activities]
        return SourcesAnswer(sources=shown, since=since)

    return routes
