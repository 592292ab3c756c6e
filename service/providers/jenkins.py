"""Jenkins: the Notification plugin, with endpoints of the format JSON.

Source: the plugin's source code, `Phase.java`, `JobListener.java` and its `model` package. It sends a time with every
phase: when the run ended for COMPLETED, and when the message was made for FINALIZED.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, assert_never

import msgspec

from service.deliveries.decoding import decode, from_milliseconds, is_commit, read_time, short, utf8
from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
from service.deliveries.observation import Nothing, Observation, finished_run
from service.deliveries.signatures import BASIC, SecurityScheme, check_basic
from service.lifecycle.references import commit

# An endpoint may be set to send only one of them; FINISHED is what the first versions of the plugin said.
_ENDS = frozenset({"COMPLETED", "FINALIZED", "FINISHED"})


class _Repository(msgspec.Struct):
    branch: str | None = None
    commit: str | None = None


class _Build(msgspec.Struct):
    phase: str
    status: str | None = None
    timestamp: int | str | None = None
    scm: _Repository | None = None


class _Notification(msgspec.Struct):
    build: _Build
    name: str | None = None


class Jenkins:
    """Messages of Jenkins' Notification plugin, which are not signed: the URL carries user and secret."""

    name: ClassVar[str] = "jenkins"
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})
    proof_headers: ClassVar[frozenset[str]] = frozenset({"authorization"})
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = BASIC

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:  # noqa: ARG002 - a password proves nothing of body and time
        check_basic(headers, secrets)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG002 - no header tells it
        return content_id("", body)

    def document(self, delivery: Delivery) -> bytes:
        if delivery.body.lstrip().startswith(b"<"):
            raise UnreadableDelivery("the body is XML; choose the format JSON for the endpoint in Jenkins")
        return utf8(delivery.body)

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        notification = decode(self.document(delivery), _Notification)
        phase = notification.build.phase
        if phase not in _ENDS:
            return Nothing(f"a run in phase {short(phase)}, not COMPLETED or FINALIZED, is no signal yet")
        return _finished(notification)


def _finished(notification: _Notification) -> Sequence[Observation] | Nothing:
    build, built = notification.build, notification.build.scm or _Repository()
    if built.commit is None or not is_commit(built.commit):
        return Nothing("the run names no commit of Git")
    at = _ended_at(build)
    if at is None:
        return Nothing("the run names no time; update the Notification plugin")
    branch = _local_name(built.branch or "")
    named, status = notification.name, build.status
    return finished_run(commit(built.commit), at, workflow=named, conclusion=status, branch=branch, message=None)


def _ended_at(build: _Build) -> datetime | None:
    match build.timestamp:
        case int() as milliseconds:
            return from_milliseconds(milliseconds, "build.timestamp")
        case "" | None:
            return None
        case str() as text:
            return read_time(text, "build.timestamp")
        case _ as never:
            assert_never(never)


def _local_name(branch: str) -> str:
    """The name of a branch without that of the remote, which Jenkins' Git plugin puts before it."""
    return branch.removeprefix("refs/remotes/").removeprefix("origin/")
