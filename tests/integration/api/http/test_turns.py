"""One caller with many expensive scorecards neither blocks other callers nor fills the queue."""

import asyncio
from collections.abc import Callable

import httpx
from fastapi import FastAPI

from service.api.http.auth import TokenGuard
from service.api.http.problems import install_error_handlers
from service.api.http.turns import MOST_WAITING
from service.api.scorecard import build_router
from service.metrics.terms import Window
from tests.support.outage import until


class SlowFigures:
    """A fake of the figures process: it compiles one scorecard at a time, and each one only once the test allows it."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.allowed = asyncio.Semaphore(0)
        self.asked: list[str] = []
        self.compiled: list[str] = []

    async def compile(self, _team: str, window: Window) -> bytes:
        self.asked.append(window.label)
        async with self.turn:
            await self.allowed.acquire()
            self.compiled.append(window.label)
            return b"{}"


def client(app: FastAPI, address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://127.0.0.1")


async def wait_until(happened: Callable[[], bool]) -> None:
    async def look() -> bool:
        return happened()

    await until(look)


async def test_the_scorecards_of_one_caller_delay_those_of_another_by_one_and_their_number_is_bounded() -> None:
    figures, app = SlowFigures(), FastAPI()
    install_error_handlers(app)
    app.include_router(build_router(figures.compile, TokenGuard({}, "LOOPGAUGE_API_TOKENS__READ", public=True)))
    async with client(app, "192.0.2.1") as greedy, client(app, "192.0.2.2") as honest:
        many = [asyncio.create_task(greedy.get(f"/scorecard?window={days}d")) for days in range(1, 3 * MOST_WAITING)]
        excess = len(many) - MOST_WAITING - 1
        await wait_until(lambda: sum(task.done() for task in many) >= excess)
        refused = [task.result() for task in many if task.done()]
        assert len(refused) == excess
        assert {answer.status_code for answer in refused} == {429}
        assert all(answer.json()["type"].endswith("too-many-waiting") for answer in refused)
        assert all("retry-after" in answer.headers for answer in refused)
        other = asyncio.create_task(honest.get("/scorecard?window=500d"))
        await wait_until(lambda: "500d" in figures.asked)
        figures.allowed.release()
        figures.allowed.release()
        await wait_until(lambda: len(figures.compiled) == 2)
        assert figures.compiled[1] == "500d"
        assert (await other).status_code == 200
        for _ in many:
            figures.allowed.release()
        await asyncio.gather(*many)
        figures.allowed.release()
        assert (await greedy.get("/scorecard?window=900d")).status_code == 200
