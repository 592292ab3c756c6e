"""HTTP/1.1 on one connection: Uvicorn's protocol, with bounds on what a client can send, and without upgrades."""

import asyncio
import math
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.api.http import framing
from service.api.http.connections import Connections
from service.api.http.framing import MAX_HEAD_BYTES, MAX_HEADERS
from service.api.http.problems import PROBLEMS, HeadTooLarge, HeadTooSlow, MalformedRequest, UnsupportedVersion
from service.api.http.transport import CoalescingTransport

MAX_PIPELINED = 16
"""How many requests of a connection may wait for the answers to earlier ones."""
HEAD_SECONDS = 15.0
"""How long the head of a request may take: the first one after the connection opened, later ones after their first
byte."""
REST_SECONDS = 30.0
"""How long the client may take to send the rest of a body that the application does not read, or to read more of an
answer."""
IDLE_SECONDS = 75.0
"""How long a connection may be idle between two requests.

This is longer than load balancers and clients keep idle connections, so the client closes a connection first. If the
server closed it first, a request that the client is just sending could be lost.
"""
LINGER_SECONDS = 2.0
LINGER_BYTES = 1_048_576
"""How long, and up to how many bytes, the server discards what a refused client still sends.

If the server closed the connection at once, the client's system would drop the answer unread.
"""


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, with these differences.

    - The sizes of heads, trailers and chunk extensions, and the numbers of header fields, chunks and pipelined requests
      are bounded, and so is the time for each thing that the client has to do.
    - A request to upgrade is read as HTTP/1.1 (RFC 9110, 7.8). Uvicorn drops the body of such a request.
    - A refusal never overtakes the answers to earlier requests of the connection.
    - A client that closes its half of the connection after a request still gets the answer.
    - The head and the body of an answer are written together.

    Args:
        connections: all connections of the server.
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connections = connections
        # The part of a request to which the next bytes belong. Both are false between two requests.
        self._in_head = False
        self._in_body = False
        # Whether the deadline of the head runs.
        self._head_timed = True
        # Bytes that arrived since the head began or, in the body, after the read that contained the end of the head.
        self._received = 0
        # The size of the read that is being parsed.
        self._reading = 0
        # Bytes of the body within `_received`; None while the read with the end of the head is parsed.
        self._of_body: int | None = None
        self._chunks = 0
        # How many bytes of an answer were not yet sent at the last deadline, or when writing was paused.
        self._unsent = 0
        # The refusal that follows the answers to earlier requests.
        self._refusal: Exception | None = None
        self._refused = False

    # Callbacks of the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as Uvicorn has it
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport)))
        if self._connections.admit(self, transport.get_extra_info("socket").fileno()):
            self._connections.wait(self, HEAD_SECONDS)
        else:
            self._refused = True
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discard(data)
            return
        self._reading = len(data)
        self._received += self._reading
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(framing.problem_of(error, self.parser.get_method()))
        else:
            if self._in_head:
                self._check_partial_head()
            elif self._in_body:
                self._check_frame()

    def eof_received(self) -> bool:  # type: ignore[override]  # Uvicorn always closes the connection
        # If this returns False, the event loop closes the connection without a call of `CoalescingTransport.close`.
        cast("CoalescingTransport", self.transport).flush()
        if self._refusal is not None:
            return True
        if self._refused or self._in_body or not self._owes_answer():
            return False
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._connections.wait(self, REST_SECONDS)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._owes_answer():
            self._connections.stop_waiting(self)

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # On a new connection, the deadline of the head has run since the connection was opened.
        self._in_head, self._head_timed = True, self.cycle is None
        self._chunks = 0

    def on_headers_complete(self) -> None:
        self._check_head()
        if self.parser.should_upgrade():
            framing.check_method(self.parser.get_method())
            return
        if not self.url.startswith(b"/"):
            self.url = framing.origin_form(self.url)
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._of_body = None
        if self.expect_100_continue:
            # If the answer comes before the body, the client may omit the body and send its next request in its place.
            self.cycle.keep_alive = False
        # The parser adds trailers to this new list, so that the application does not take them for headers.
        self.headers = []

    def on_chunk_header(self) -> None:
        """Refuse faulty framing at the first chunk, and later a body in many tiny chunks."""
        if self._chunks == 0:
            framing.check_transfer_coding(self.scope)
        self._chunks += 1
        further = self._chunks - framing.FREE_CHUNKS
        if further > 0 and further * framing.CHUNK_BYTES > self._received:
            raise HeadTooLarge(f"too many chunks have less than {framing.CHUNK_BYTES} bytes; send larger chunks")

    def on_body(self, body: bytes) -> None:
        if self._of_body is not None:
            self._of_body += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self._in_head:
            return  # The parser ends a request to upgrade here; `_ignore_upgrade` parses it again.
        self._in_body = False
        self._received = 0
        cycle = self.cycle
        if cycle.response_complete:
            self._connections.wait(self, IDLE_SECONDS)
            return
        cycle.more_body = False
        cycle.message_event.set()
        if not self.flow.write_paused:
            self._connections.stop_waiting(self)

    # The callback of an answer

    def on_response_complete(self) -> None:
        """Answer the next request, or wait for it. Uvicorn would set a timer for each idle connection."""
        if self.transport.is_closing():
            self._connections.wait(self, REST_SECONDS)
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._send_refusal(self._refusal)
        elif self._in_head:
            self._connections.wait(self, HEAD_SECONDS)
        else:
            self._connections.wait(self, REST_SECONDS if self._in_body else IDLE_SECONDS)

    # Callbacks of `Connections`

    def give_up(self) -> None:
        """Act on a client that let a deadline pass."""
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if 0 < self._unsent < before:
            # The client is still reading a long answer.
            self._connections.set_deadline(self, REST_SECONDS)
        elif self._refused or self._unsent or self.transport.is_closing():
            self.abort()
        elif self._owes_answer():
            # The client sent a part of its next request, and awaits an answer.
            self.cycle.keep_alive = False
            self._connections.stop_waiting(self)
        elif self._in_head:
            self._refuse(HeadTooSlow(f"the head of the request did not arrive within {HEAD_SECONDS:g} seconds"))
        else:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once, without an answer."""
        self.transport.abort()

    # Bounds

    def _check_head(self) -> None:
        if self.parser.get_http_version() not in framing.VERSIONS:
            raise UnsupportedVersion
        # A read that is larger than the limit may contain a part of the body or a previous request.
        if self._received > MAX_HEAD_BYTES or self._reading > MAX_HEAD_BYTES:
            framing.check_head_size(self.url, self.headers)
        if len(self.headers) > MAX_HEADERS:
            raise framing.too_many_headers()
        framing.check_host(self.parser.get_http_version(), self.headers)
        if len(self.pipeline) >= MAX_PIPELINED:
            raise MalformedRequest(f"more than {MAX_PIPELINED} requests await the answers to earlier ones")

    def _check_partial_head(self) -> None:
        if self._received > MAX_HEAD_BYTES:
            self._refuse(framing.head_too_large())
        elif len(self.headers) > MAX_HEADERS:
            self._refuse(framing.too_many_headers())
        elif not self._head_timed:
            self._head_timed = True
            self._connections.wait(self, HEAD_SECONDS)

    def _check_frame(self) -> None:
        """Refuse a chunked body whose trailers or chunk extensions are too large."""
        if self._of_body is None:
            self._of_body = self._received = 0
            # The application sets the deadline for the body that it reads.
            self._connections.set_deadline(self, math.inf)
        elif self._received - self._of_body > MAX_HEAD_BYTES + framing.CHUNK_FRAME_BYTES * self._chunks:
            self._refuse(HeadTooLarge(f"trailers and chunk extensions have more than {MAX_HEAD_BYTES} bytes"))

    # Upgrades

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse the head again without its field Upgrade, and then parse the bytes that were received after the head.

        The parser gives no other way to read the body: once it has met an upgrade, it ends the request after the head.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        head = framing.head_without_upgrade(method, self.url, version, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._received = 0
        self.data_received(head + rest)

    # Refusals

    def _refuse(self, refusal: Exception) -> None:
        """Answer what arrived before, then refuse, and read no more."""
        self._refused = True
        self._connections.refused.record(PROBLEMS[type(refusal)].title)
        broken = self.cycle if self._in_body else None
        if broken is None:
            owes_answer = self._owes_answer()
        elif self.pipeline:
            self.pipeline.popleft()
            broken.response_complete = owes_answer = True
        elif broken.response_started:
            self.transport.close()
            self._connections.wait(self, REST_SECONDS)
            return
        else:
            broken.disconnected, owes_answer = True, False
            broken.message_event.set()
        if owes_answer:
            self._refusal = refusal
            self.flow.pause_reading()
            if not self.flow.write_paused:
                self._connections.stop_waiting(self)
        else:
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Exception) -> None:
        self._refusal = None
        self.transport.write(framing.refusal(refusal, self.server_state.default_headers))
        self.transport.write_eof()
        self.flow.resume_reading()
        self._connections.wait(self, LINGER_SECONDS)

    def _discard(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > LINGER_BYTES:
            self.abort()

    def _owes_answer(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete
