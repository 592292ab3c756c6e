"""Random requests to every source and route: nearly right deliveries, odd parameters, and malformed HTTP."""

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from service.providers import PROVIDERS
from tests.support.provider_examples import BATCHED, STRUCTURED, Example, examples
from tests.support.signing import SCHEMES

_ODD_TEXTS = (
    *("", " ", "\0", "\x1b[31m", "\u202e", "\ud800", "\ufeff", "é" * 300, "A" * 70_000, "%00", "../../etc/passwd"),
    *("' OR 1=1 --", "{{7*7}}", "${x}", "<script>", "key:A-1", "github:acme/app#45", "github:acme/app#-1", "ML-12"),
    *(
        "https://github.com/acme/app/issues/45",
        "https://user:word@acme.example/x",
        "//",
        "@",
        "#",
        "\n/experiment start",
    ),
    *(
        "/experiment conclude failed basic",
        "experiment",
        "failure:intelligent",
        "team:\u200bsearch",
        "0001-01-01T00:00:00Z",
    ),
    *("9999-12-31T23:59:59Z", "2026-03-01T09:00:00+99:99", "2026-02-30", "1e999", "-0", "NaN", "open", "P1D", "14d"),
)
_ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 1e308, -1e-308, float("inf"), float("nan"))
_ODD_HEADERS = (
    *(("content-type", "text/plain"), ("content-type", "application/json; charset=utf-16"), ("content-type", "")),
    *(("content-type", "application/x-www-form-urlencoded"), ("content-type", "multipart/form-data; boundary=x")),
    *(("content-encoding", "gzip"), ("content-encoding", "br, zstd"), ("accept", "text/html"), ("accept", "*/*;q=x")),
    *(("accept-encoding", "gzip;q=0, identity;q=0"), ("host", "acme.example"), ("host", ""), ("origin", "null")),
    *(("expect", "100-continue"), ("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings"), ("te", "trailers")),
    *(("x-forwarded-for", "::1"), ("range", "bytes=0-1"), ("if-none-match", "*"), ("authorization", "Basic %%%")),
    *(("authorization", "Bearer "), ("cookie", "a=b; " * 50), ("x-github-event", "é"), ("ce-specversion", "9")),
    *(("webhook-timestamp", "9" * 40), ("webhook-id", ""), ("x-gitlab-event", "A" * 3000), ("x-request-id", "\t")),
)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
_FRAMES: Sequence[bytes] = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
    b"GET  /  HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\na\0b: c\r\n\r\n",
    b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: " + b"9" * 4000 + b"\r\n\r\n",
    b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


@dataclass(frozen=True, slots=True)
class FuzzRequest:
    """A request.

    Attributes:
        kind: the group of requests to which it belongs, for the table of the results.
        frame: the bytes to send.
        is_http: whether the bytes are a valid HTTP/1.1 request, so that the connection may stay open after it.
    """

    kind: str
    method: str
    frame: bytes
    is_http: bool = True


@dataclass(frozen=True, slots=True)
class _Draft:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    chunked: bool = False

    def frame(self) -> bytes:
        framing = {"transfer-encoding": "chunked"} if self.chunked else {"content-length": str(len(self.body))}
        named = {"host": "127.0.0.1", **self.headers, **framing}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items()).encode("utf-8", "replace")
        return f"{self.method} {self.target} HTTP/1.1\r\n".encode() + lines + b"\r\n" + self._framed_body()

    def _framed_body(self) -> bytes:
        if not self.chunked:
            return self.body
        pieces = [self.body[start : start + 1000] for start in range(0, len(self.body), 1000)]
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the API, as its OpenAPI document describes it."""

    method: str
    path: str
    query: Sequence[str] = ()


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """Read the operations of an OpenAPI document."""
    return [
        Operation(method.upper(), path, [one["name"] for one in spec.get("parameters", ()) if one["in"] == "query"])
        for path, methods in document["paths"].items()
        for method, spec in methods.items()
        if isinstance(spec, dict)
    ]


@dataclass(slots=True)
class Fuzzer:
    """Makes random requests.

    Args:
        known: the operations of the API.
        tokens: values for the header `Authorization: Bearer`.
        writing: the token that may record events.
    """

    rng: random.Random
    known: Sequence[Operation]
    tokens: Sequence[str]
    writing: str
    _made: int = field(default=0, init=False)

    def requests(self) -> Iterator[FuzzRequest]:
        """Generate requests without end."""
        kinds: Sequence[tuple[int, Callable[[], FuzzRequest]]] = (
            (60, self._delivery),
            (10, self._event),
            (20, self._operation),
            (5, self._address),
            (5, self._malformed),
        )
        weights, makers = [weight for weight, _ in kinds], [make for _, make in kinds]
        while True:
            self._made += 1
            yield self.rng.choices(makers, weights)[0]()

    def _delivery(self) -> FuzzRequest:
        name = self.rng.choice(sorted(SCHEMES))
        example = self.rng.choice(examples(SCHEMES[name].provider))
        body = self._body(example)
        signed = SCHEMES[name].prove(body, datetime.now(UTC)) if self._is_utf8(body) else {}
        headers = {
            "content-type": "application/json",
            **example.headers,
            "x-github-delivery": f"fuzz-{self._made}",
            **signed,
        }
        draft = _Draft("POST", f"/webhooks/{name.replace('-', '_')}", headers, body)
        return self._finished("delivery", draft)

    def _event(self) -> FuzzRequest:
        body = self._body(self.rng.choice(examples("cloudevents")))
        content_type = self.rng.choice((STRUCTURED, BATCHED, "application/json"))
        target = self.rng.choice(
            ("/events", f"/experiments/{quote(self._text()[:100], safe='', errors='replace')}/events")
        )
        headers = {
            "content-type": content_type,
            "authorization": f"Bearer {self.rng.choice((*self.tokens, self.writing, self.writing))}",
        }
        return self._finished("event", _Draft("POST", target, headers, body))

    def _operation(self) -> FuzzRequest:
        one = self.rng.choice(self.known)
        path = re.sub(r"\{\w+\}", lambda _: quote(self._text()[:200], safe="", errors="replace"), one.path)
        chosen = [name for name in one.query if self.rng.random() < 0.5]
        query = "&".join(f"{name}={quote(self._text()[:2000], errors='replace')}" for name in chosen)
        method = one.method if self.rng.random() < 0.9 else self.rng.choice(_METHODS)
        headers = {"authorization": f"Bearer {self.rng.choice(self.tokens)}"} if self.rng.random() < 0.9 else {}
        body = json.dumps(self._value()).encode() if method not in {"GET", "HEAD"} else b""
        return self._finished("operation", _Draft(method, f"{path}?{query}" if query else path, headers, body))

    def _address(self) -> FuzzRequest:
        parts = self.rng.choices(
            ("webhooks", "github", "", ".", "..", "experiments", "%2e%2e", "%00", "é", "x" * 500), k=4
        )
        target = "/" + quote("/".join(parts), safe="/%")
        return self._finished("address", _Draft(self.rng.choice(_METHODS), target, {}))

    def _malformed(self) -> FuzzRequest:
        frame = bytearray(self.rng.choice(_FRAMES))
        if self.rng.random() < 0.3:
            frame[self.rng.randrange(min(len(frame), 60))] = self.rng.randrange(256)
        return FuzzRequest("malformed", "GET", bytes(frame), is_http=False)

    def _finished(self, kind: str, draft: _Draft) -> FuzzRequest:
        """Sometimes add an odd header, compress the body or send it in chunks."""
        if self.rng.random() < 0.2:
            name, value = self.rng.choice(_ODD_HEADERS)
            draft = replace(draft, headers={**draft.headers, name: value})
        if self.rng.random() < 0.05:
            draft = replace(
                draft, headers={**draft.headers, "content-encoding": "gzip"}, body=gzip.compress(draft.body)
            )
        return FuzzRequest(kind, draft.method, replace(draft, chunked=self.rng.random() < 0.1).frame())

    def _body(self, example: Example) -> bytes:
        payload = json.loads(example.body)
        for _ in range(self.rng.choice((0, 1, 1, 2, 5))):
            self._mutate(payload)
        body = json.dumps(payload).encode()
        if self.rng.random() < 0.05:
            body = self._torn(body)
        return body

    def _mutate(self, payload: Any) -> None:
        places = [place for place in _places(payload) if place]
        if not places:
            return
        place = self.rng.choice(places)
        name: Any = self.rng.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
        if self.rng.random() < 0.3:
            del place[name]
        else:
            place[name] = self._value()

    def _torn(self, body: bytes) -> bytes:
        start = self.rng.randrange(len(body) + 1)
        return self.rng.choice((body[:start], body[:start] + self.rng.randbytes(3) + body[start:], b"", b"[" * 100_000))

    def _value(self) -> Any:
        deep: Any = self._text()
        for _ in range(self.rng.choice((0, 0, 1, 3, 200))):
            deep = {self._text()[:50]: deep} if self.rng.random() < 0.5 else [deep]
        return self.rng.choice((deep, self.rng.choice(_ODD_NUMBERS), None, True, {}, [], self._text()))

    def _text(self) -> str:
        return self.rng.choice(_ODD_TEXTS)

    @staticmethod
    def _is_utf8(body: bytes) -> bool:
        """Whether the body can be signed by schemes that sign text."""
        try:
            body.decode()
        except UnicodeDecodeError:
            return False
        return True


def _places(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _places(inner)


assert {scheme.provider for scheme in SCHEMES.values()} == set(PROVIDERS), "a provider has no scheme"
