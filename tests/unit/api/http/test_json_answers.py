"""No text in a JSON answer controls the terminal that prints it."""

import json
import sys
import unicodedata

import httpx
import pytest
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from service.api.http.json_answers import JsonAnswersMiddleware, escape

_ACTING = [chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp")]


def test_every_control_and_format_character_is_escaped_and_nothing_else_changes() -> None:
    written = json.dumps({"title": "".join(_ACTING), "plain": "日本語 Büro 🙂"}, ensure_ascii=False)
    escaped = escape(written.encode()).decode()
    assert [letter for letter in escaped if letter in _ACTING] == []
    assert "日本語 Büro 🙂" in escaped
    assert json.loads(escaped) == json.loads(written)


@pytest.mark.parametrize("title", ["plain", "a\u202eb\x9b31m\x7f", "日本語"])
async def test_an_answer_has_the_length_of_its_escaped_body(title: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"title": title})(scope, receive, send)

    transport = httpx.ASGITransport(JsonAnswersMiddleware(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.text.isprintable()
    assert answer.json() == {"title": title}
