"""Commands work on a remote service, and report every way in which a service does not answer as expected."""

import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, ClassVar

import pytest

from tests.support.commands import in_database, invoke
from tests.support.road import deliver
from tests.support.serving import UNREACHABLE, Service, opened, serving

TOKENS = {"API_TOKENS__READ": "r3ad-t0ken", "API_TOKENS__WRITE": "wr1te-t0ken", "API_TOKENS__ADMIN": "adm1n-t0ken"}
_PROBLEM = "application/problem+json"


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    in_database(database_url, lambda database: deliver(database, opened()))
    with serving(database_url, tmp_path, **TOKENS) as running:
        yield running


def _remotely(url: str, *arguments: str, token: str = TOKENS["API_TOKENS__ADMIN"]) -> CompletedProcess[str]:
    # A command that uses the local database in spite of the address fails.
    # The default data directory may have the read token of a real service on this machine.
    return invoke(*arguments, URL=url, TOKEN=token, DATABASE_URL=UNREACHABLE, DATA_DIR="/nonexistent/loopgauge")


@pytest.mark.parametrize(
    "arguments",
    [
        ["deliveries", "list"],
        ["explain", "github:acme/app#45"],
        ["scorecard", "--team", "_org", "--window", "30d"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_prints_the_same_about_a_remote_service_as_about_the_local_database(
    service: Service, database_url: str, arguments: list[str]
) -> None:
    local = invoke(*arguments, DATABASE_URL=database_url)
    remote = _remotely(service.url, *arguments, token="r3ad-t0ken")
    assert (remote.returncode, remote.stderr) == (local.returncode, local.stderr) == (0, "")
    assert _without_ages(remote.stdout) == _without_ages(local.stdout)
    assert local.stdout
    as_json = _remotely(service.url, *arguments, "--json", token="r3ad-t0ken")
    locally = invoke(*arguments, "--json", DATABASE_URL=database_url)
    assert _shape(json.loads(as_json.stdout)) == _shape(json.loads(locally.stdout))


def _without_ages(printed: str) -> list[str]:
    """The printed lines, without the ages and without the end of the period: both depend on when the command runs."""
    lines = re.sub(r"up to \S+ \S+ UTC", "up to now", printed).splitlines()
    return [line for line in lines if not line.strip().startswith("age")]


def _shape(document: Any) -> Any:
    """A JSON document with the name of its type in place of each number and text."""
    if isinstance(document, dict):
        return {name: _shape(value) for name, value in document.items()}
    return [_shape(value) for value in document] if isinstance(document, list) else type(document).__name__


def test_a_delivery_is_shown_and_retried_remotely_with_the_admin_token(service: Service) -> None:
    [delivery] = json.loads(_remotely(service.url, "deliveries", "list", "--json").stdout)
    shown = _remotely(service.url, "deliveries", "show", delivery["id"])
    assert opened().body.decode() in shown.stdout
    for_readers = _remotely(service.url, "deliveries", "show", delivery["id"], token="r3ad-t0ken")
    assert "body            shown only with the admin token" in for_readers.stdout
    assert opened().body.decode() not in for_readers.stdout
    retried = _remotely(service.url, "deliveries", "retry", delivery["id"])
    assert (retried.returncode, "only failed deliveries are retried" in retried.stdout) == (1, True)
    assert _remotely(service.url, "deliveries", "retry", "--failed").stdout == "0 of 0 deliveries retried\n"


@pytest.mark.parametrize("token", ["", "wrong", "r3ad-t0ken"])
def test_a_refused_token_is_reported_with_the_token_to_use_and_never_shown(service: Service, token: str) -> None:
    arguments = ("deliveries", "retry", "--failed") if token == "r3ad-t0ken" else ("deliveries", "list")
    right = "admin token" if token == "r3ad-t0ken" else "read token or the admin token"
    ended = _remotely(service.url, *arguments, token=token)
    assert (ended.returncode, ended.stdout) == (1, "")
    reason = {
        "": "the request has no bearer token",
        "wrong": "the service does not have this bearer token",
        "r3ad-t0ken": "the token in LOOPGAUGE_API_TOKENS__READ does not allow this request",
    }[token]
    made = "" if token == "r3ad-t0ken" else "; loopgauge sign-in --token prints its read token"
    assert ended.stderr == f"loopgauge: {reason}; give the {right} of {service.url} in LOOPGAUGE_TOKEN{made}\n"


def test_the_error_of_a_remote_service_reads_as_the_error_of_the_local_database(
    service: Service, database_url: str
) -> None:
    unknown = ("explain", "github:acme/app#1")
    local = invoke(*unknown, DATABASE_URL=database_url).stderr
    remark = "; this command looked in the database "
    assert _remotely(service.url, *unknown).stderr.rstrip("\n") == local.partition(remark)[0]
    assert "; to ask a running service, set LOOPGAUGE_URL" in local.partition(remark)[2]
    assert "postgres@" not in local
    malformed = ("explain", "number one")
    assert _remotely(service.url, *malformed).stderr == invoke(*malformed, DATABASE_URL=database_url).stderr


def test_a_worker_refers_to_a_process_that_has_the_api(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, ROLE="worker") as worker:
        ended = _remotely(worker.url, "sources")
    expected = f"loopgauge: {worker.url} is a worker; give the address of a process of the role api or all\n"
    assert (ended.returncode, ended.stderr) == (1, expected)


def test_a_database_without_the_schema_is_reported_as_such(empty_database_url: str, tmp_path: Path) -> None:
    with serving(empty_database_url, tmp_path, **TOKENS) as service:
        ended = _remotely(service.url, "deliveries", "list")
    assert ended.stderr.startswith("loopgauge: the schema is missing or too old: relation ")
    assert "run: loopgauge migrate" in ended.stderr


def test_a_token_is_read_from_a_file(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("r3ad-t0ken\n")
    ended = invoke("deliveries", "list", "--url", service.url, "--token", f"@{file}")
    assert (ended.returncode, ended.stderr) == (0, "")
    missing = invoke("deliveries", "list", "--url", service.url, "--token", f"@{tmp_path / 'none'}")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "none: No such file or directory" in missing.stderr


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--token", "s3cret"], "--token requires --url or LOOPGAUGE_URL"),
        (
            ["--url", "acme.example"],
            "expected an address such as https://loopgauge.example.com, got 'acme.example'",
        ),
        (["--url", "ftp://me:s3cret@acme.example"], "expected an address such as https://loopgauge.example.com"),
        (["--url", "https://acme.example/?token=s3cret"], "expected an address such as https://loopgauge.example.com"),
        (["--url", "127.0.0.1:9303"], "did you mean http://127.0.0.1:9303?"),
        (["--url", "https://loopgauge.example.com/a\nb"], "expected an address such as https://loopgauge.example.com"),
        (["--url", "https://me:s3cret@loopgauge.example.com"], "expected an address without a user and a password"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_addresses_are_refused_without_showing_a_secret(options: list[str], error: str) -> None:
    ended = invoke("deliveries", "list", *options, DATABASE_URL=UNREACHABLE)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert error in ended.stderr
    assert "s3cret" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "meant"),
    [("TOKN", "TOKEN"), ("ULR", "URL"), ("RAW_RETENTON", "RAW_RETENTION")],
)
def test_a_misspelt_variable_is_refused_also_for_a_remote_service(service: Service, name: str, meant: str) -> None:
    ended = invoke("sources", "--url", service.url, "--token", "r3ad-t0ken", **{name: "s3cret"})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"loopgauge: LOOPGAUGE_{name} is not a setting; did you mean LOOPGAUGE_{meant}?\n"


def test_a_wrong_value_of_a_setting_does_not_keep_a_command_from_a_remote_service(service: Service) -> None:
    ended = invoke("sources", "--url", service.url, "--token", "r3ad-t0ken", PORT="http")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_address_with_a_path_or_the_wrong_scheme_is_refused_with_the_remedy(service: Service) -> None:
    with_path = _remotely(f"{service.url}/api", "deliveries", "list")
    assert with_path.stderr.startswith(f"loopgauge: {service.url}/api has no GET /api/deliveries; ")
    assert "LOOPGAUGE_URL without the path /api, unless a proxy adds it" in with_path.stderr
    over_tls = _remotely(service.url.replace("http", "https"), "deliveries", "list")
    assert over_tls.stderr.startswith("loopgauge: https://")
    assert over_tls.stderr.endswith(f" does not speak https; try {service.url}\n")


@pytest.mark.parametrize("token", ["s3cret\nline", "s3cret\x00"])
def test_a_token_that_no_header_can_have_is_refused_without_showing_it(token: str) -> None:
    ended = invoke("deliveries", "list", "--url", "http://127.0.0.1:1", "--token", token)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "expected a token in one line" in ended.stderr
    assert "s3cret" not in ended.stderr


def test_a_token_may_have_any_letters() -> None:
    with _answering(200, {"content-type": "application/json"}, b'{"deliveries": [], "next": null}') as (url, tokens):
        ended = _remotely(url, "deliveries", "list", token="schlüssel")
    assert ended.returncode == 0
    assert [token.encode("latin-1").decode() for token in tokens if token] == ["Bearer schlüssel"]


def test_a_certificate_is_trusted_only_if_its_authority_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    named = ("-subj", "/CN=loopgauge", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", str(key), "-out", str(certificate))
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "1", *named, *made], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    answer = (200, {"content-type": "application/json"}, b'{"deliveries": [], "next": null}')
    with _answering(*answer, tls=tls) as (url, tokens):
        refused = _remotely(url, "deliveries", "list")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusted = _remotely(url, "deliveries", "list")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"loopgauge: the certificate of {url} is not trusted: self")
    assert refused.stderr.endswith("; name the file of your certificate authority in SSL_CERT_FILE\n")
    assert (trusted.returncode, trusted.stderr, tokens) == (0, "no deliveries\n", ["Bearer adm1n-t0ken"])


def test_the_address_may_be_in_the_dotenv_file(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"LOOPGAUGE_URL={service.url}\nLOOPGAUGE_TOKEN=r3ad-t0ken\n")
    monkeypatch.chdir(tmp_path)
    ended = invoke("deliveries", "list", DATABASE_URL=UNREACHABLE)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_dotenv_file_that_is_not_utf_8_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"LOOPGAUGE_URL=\xff\n")
    monkeypatch.chdir(tmp_path)
    ended = invoke("deliveries", "list")
    assert (ended.returncode, "cannot read .env: it is not UTF-8" in ended.stderr) == (2, True)


@pytest.mark.parametrize("command", ["replay", "migrate", "export-history"])
def test_a_command_that_works_on_the_database_does_not_use_another_one_than_the_service(command: str) -> None:
    ended = invoke(command, URL="http://127.0.0.1:1")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"loopgauge: {command} works on the database, not on the service at LOOPGAUGE_URL: ")


class _Answers(BaseHTTPRequestHandler):
    """Answers every request in the same way, and keeps the tokens of the requests."""

    answer: ClassVar[tuple[int, Mapping[str, str], bytes]]
    tokens: ClassVar[list[str | None]]

    def do_GET(self) -> None:
        status, headers, body = self.answer
        self.tokens.append(self.headers["authorization"])
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def _answering(
    status: int, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[str | None]]]:
    """Run a server that answers each request in the same way. Yield its address, and the tokens of its requests."""

    class Handler(_Answers):
        answer = (status, headers, body)
        tokens: ClassVar[list[str | None]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", Handler.tokens
        finally:
            server.shutdown()
            thread.join()


def _problem(status: int, slug: str, title: str, detail: str) -> tuple[int, Mapping[str, str], bytes]:
    document = {"type": f"urn:loopgauge:problem:{slug}", "title": title, "status": status, "detail": detail}
    return status, {"content-type": _PROBLEM}, json.dumps(document).encode()


def _after(seconds: int, answer: tuple[int, Mapping[str, str], bytes]) -> tuple[int, Mapping[str, str], bytes]:
    """The same answer, with the header `Retry-After`."""
    status, headers, body = answer
    return status, {**headers, "retry-after": str(seconds)}, body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            _problem(404, "not-found", "Not Found", "GET /deliveries: Not Found"),
            (
                "{url} has no GET /deliveries; the service is probably older than this command: use the version of the "
                "service"
            ),
        ),
        (
            _problem(422, "invalid", "The request is invalid", "query.ref: expected one of cursor, limit"),
            (
                "The request is invalid: query.ref: expected one of cursor, limit; the service is probably older "
                "than this command: use the version of the service"
            ),
        ),
        (
            _problem(403, "token-not-configured", "No token is configured", "set LOOPGAUGE_API_TOKENS__READ"),
            "No token is configured: set LOOPGAUGE_API_TOKENS__READ; this is a setting of the service at {url}",
        ),
        (
            _problem(503, "database-unavailable", "PostgreSQL is not available", "PostgreSQL is not available: gone"),
            "PostgreSQL is not available: gone; {url} is up; try again in a moment",
        ),
        (
            (502, {"content-type": "text/html"}, b"<html>Bad Gateway</html>"),
            (
                "{url} does not answer as loopgauge does: GET /deliveries is answered 502 Bad Gateway; check that the "
                "service runs behind its proxy, and check --url or LOOPGAUGE_URL"
            ),
        ),
        (
            (520, {"content-type": "text/html"}, b"<html>An error of a proxy</html>"),
            ("{url} does not answer as loopgauge does: GET /deliveries is answered 520; check --url or LOOPGAUGE_URL"),
        ),
        (
            _after(7, _problem(503, "overloaded", "The service is receiving too much data", "")),
            "The service is receiving too much data; {url} is up; try again in 7 seconds",
        ),
        (
            _after(30, _problem(429, "too-many", "Too many requests", "at most 5 in a second")),
            "Too many requests: at most 5 in a second; try again in 30 seconds",
        ),
        (
            _problem(409, "newer", "A new \x1b[31mproblem", "It has\na detail."),
            "A new  [31mproblem: It has a detail",
        ),
        (
            (200, {"content-type": "application/json", "content-encoding": "gzip"}, b"not gzip"),
            (
                "cannot reach {url}: Error -3 while decompressing data: incorrect header check; check that the service "
                "runs there, and check --url or LOOPGAUGE_URL"
            ),
        ),
        (
            (200, {"content-type": "text/html"}, b"<html>Sign in</html>"),
            "{url} does not answer as loopgauge does: GET /deliveries is answered 200 OK; check --url or LOOPGAUGE_URL",
        ),
        (
            (200, {"content-type": "application/json"}, b'{"items": []}'),
            "/deliveries is answered with something else than a page of deliveries",
        ),
        (
            (200, {"content-type": "application/json"}, b'{"deliveries": [{"id": 1}], "next": null}'),
            (
                "{url} answers in a form that this command does not know (id has another form): "
                "use the version of the service, or print the document with --json"
            ),
        ),
        (
            (308, {"location": "https://elsewhere.example.com/deliveries"}, b""),
            "{url} redirects to https://elsewhere.example.com/deliveries; name the new address with --url",
        ),
    ],
    ids=[
        *("no such endpoint", "no such parameter", "no token", "outage", "proxy", "unknown status"),
        *("overload", "too many requests", "unknown problem"),
        *("gzip", "login", "JSON", "newer", "redirect"),
    ],
)
def test_an_answer_that_is_no_result_is_reported_in_one_line(
    answer: tuple[int, Mapping[str, str], bytes], error: str
) -> None:
    with _answering(*answer) as (url, _):
        ended = _remotely(url, "deliveries", "list")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"loopgauge: {error.format(url=url)}\n"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (("deliveries", "list", "--all"), {"deliveries": [], "next": "again"}),
        (("experiments", "list", "--all", "--json"), {"experiments": [], "next": "again"}),
        (("deliveries", "retry", "--failed"), {"retried": 0, "deliveries": [], "next": "again"}),
    ],
    ids=["deliveries", "experiments", "retry"],
)
def test_a_service_that_repeats_a_page_for_ever_does_not_keep_a_command_running(
    command: tuple[str, ...], answer: Mapping[str, Any]
) -> None:
    with _answering(200, {"content-type": "application/json"}, json.dumps(answer).encode()) as (url, _):
        ended = _remotely(url, *command)
    assert ended.returncode == 1
    assert "repeats a page, so the list would never end; check what answers at this address" in ended.stderr


@pytest.mark.parametrize("document", [b'{"sources": ', b"", b"[" * 100_000], ids=["cut", "empty", "deep"])
def test_an_answer_that_is_not_json_is_reported_without_a_traceback(document: bytes) -> None:
    with _answering(200, {"content-type": "application/json"}, document) as (url, _):
        ended = _remotely(url, "sources", "--json")
    assert (ended.returncode, ended.stdout) == (1, "")
    message = "loopgauge: the answer is not JSON, or only a part of it; check --url or LOOPGAUGE_URL\n"
    assert ended.stderr == message


def test_no_text_of_an_answer_controls_the_terminal() -> None:
    evil = "\x9b2J\x1b]0;a\x07\u202eb"
    candidate = {"reference": f"key:{evil}", "title": evil, "url": f"https://a/{evil}\nc"}
    problem = {"type": "urn:x", "title": evil, "detail": evil, "candidates": [candidate]}
    with _answering(409, {"content-type": _PROBLEM}, json.dumps(problem).encode()) as (url, _):
        ended = _remotely(url, "explain", "ML-12")
    assert ended.returncode == 1
    assert [line for line in ended.stderr.split("\n")[:-1] if not line.isprintable()] == []
    assert ended.stderr.count("\n") == 2


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "gopher://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_reported(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    ended = _remotely("http://127.0.0.1:1", "deliveries", "list")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("loopgauge: cannot use http://127.0.0.1:1, or the proxy in the environment: ")


def test_a_redirect_does_not_carry_the_token_to_another_host() -> None:
    with (
        _answering(200, {"content-type": "application/json"}, b'{"deliveries": [], "next": null}') as (other, tokens),
        _answering(307, {"location": f"{other}/deliveries"}, b"") as (url, first),
    ):
        ended = _remotely(url, "deliveries", "list")
    assert (ended.returncode, first, tokens) == (1, ["Bearer adm1n-t0ken"], [])


def test_a_service_that_cannot_be_reached_is_reported_with_the_reason() -> None:
    ended = _remotely("http://127.0.0.1:1", "deliveries", "list")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "loopgauge: cannot reach http://127.0.0.1:1: Connection refused; check that the service runs there, and "
        "check --url or LOOPGAUGE_URL\n"
    )


def test_the_proxy_of_the_environment_does_not_get_the_requests_of_a_local_command(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert invoke("deliveries", "list", DATABASE_URL=database_url).stderr == "no deliveries\n"
