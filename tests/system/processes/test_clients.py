"""Deliveries of clients that offer HTTP/2 over plain HTTP are stored whole."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.support.raw_http import Answer, answers, connect
from tests.support.serving import Service, opened, serving
from tests.support.waiting import PATIENCE_SECONDS

_SECRET = "the secret of GitLab"
_ADMIN = "the token of an administrator"
# GitLab's token does not depend on the body. So a delivery without its body would be accepted.
_GITLAB = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": _SECRET, "Content-Type": "application/json"}
_PUSH = b'{"object_kind": "push", "ref": "refs/heads/main"}'


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    settings = {"SOURCES__GITLAB__SECRET": _SECRET, "API_TOKENS__ADMIN": _ADMIN}
    with serving(database_url, tmp_path, **settings) as service:
        yield service


def _stored_body(service: Service, answer: Mapping[str, str]) -> bytes:
    path = f"{service.url}/deliveries/{answer['delivery']}"
    headers = {"authorization": f"Bearer {_ADMIN}"}
    found = httpx.get(path, headers=headers, timeout=PATIENCE_SECONDS).json()
    return str(found["body"]).encode()


def _curl(service: Service, path: str, headers: Mapping[str, str], body: bytes, *options: str) -> str:
    """Post with curl, and return its output. If curl is missing, skip the test, or fail it if `CI` is set."""
    curl = shutil.which("curl")
    if curl is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("curl is not installed")
    given = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    command = [curl, "--silent", "--show-error", *options, *given, "--data-binary", "@-", service.url + path]
    ran = subprocess.run(command, input=body, capture_output=True, timeout=PATIENCE_SECONDS, check=True)
    return ran.stdout.decode()


def test_a_delivery_that_curl_sends_with_an_offer_of_http_2_is_stored_whole(service: Service) -> None:
    proposal = opened()
    for headers, path, body in (
        (_GITLAB, "/webhooks/gitlab", _PUSH),
        (proposal.headers(), "/webhooks/github", proposal.body),
        # curl sends `Expect: 100-continue` before a body of more than a megabyte.
        (_GITLAB, "/webhooks/gitlab", _PUSH[:-1] + b', "message": "' + b"x" * 1_500_000 + b'"}'),
    ):
        answer = json.loads(_curl(service, path, headers, body, "--http2"))
        assert answer["status"] == "stored"
        assert _stored_body(service, answer) == body


def _post_as_java_does(service: Service, pause: float, pieces: int) -> Answer:
    """Send what `java.net.http.HttpClient` of OpenJDK 17 sends by default: the head first, and then the body."""
    fields = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Content-Length": str(len(_PUSH)),
        "Host": "127.0.0.1",
        "HTTP2-Settings": "AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA",
        "Upgrade": "h2c",
        "User-Agent": "Java-http-client/17.0.15",
        **_GITLAB,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    head = f"POST /webhooks/gitlab HTTP/1.1\r\n{lines}\r\n".encode()
    with connect(service.address[1]) as client:
        step = len(head) // pieces + 1
        for piece in (*(head[place : place + step] for place in range(0, len(head), step)), _PUSH):
            client.sendall(piece)
            time.sleep(pause)
        client.shutdown(socket.SHUT_WR)
        [answer] = answers(client)
    return answer


@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize("pause", [0, 0.02])
def test_a_delivery_of_javas_default_client_is_stored_whole(service: Service, pause: float, pieces: int) -> None:
    answer = _post_as_java_does(service, pause, pieces)
    assert answer.status == 202
    assert _stored_body(service, answer.read) == _PUSH


def test_a_delivery_whose_body_ends_early_is_not_stored(service: Service) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in _GITLAB.items())
    head = f"POST /webhooks/gitlab HTTP/1.1\r\nHost: test\r\nContent-Length: {len(_PUSH)}\r\n{lines}\r\n".encode()
    with connect(service.address[1]) as client:
        client.sendall(head + _PUSH[:-1])
    assert service.samples().get(("deliveries_total", "stored", "gitlab"), 0) == 0
    listed = httpx.get(f"{service.url}/deliveries", headers={"authorization": f"Bearer {_ADMIN}"}).json()
    assert listed["deliveries"] == []
