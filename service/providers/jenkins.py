"""Jenkins: messages of the Notification plugin in JSON format.

Source: `Phase.java`, `JobListener.java` and the package `model` in the plugin's source code. In phase COMPLETED,
`timestamp` is the time at which the run ended; in phase FINALIZED, it is the time at which the plugin created the
message. Old versions of the plugin omit `timestamp`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, assert_never

import msgspec

from service.deliveries.decoding import decode, from_unix, is_commit, read_time, require_utf8, shorten
from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
from service.deliveries.event_name import EventName
from service.deliveries.observation import Nothing, Observation, finished_run
from service.deliveries.signatures import BASIC, SecurityScheme, check_basic
from service.lifecycle.references import ReferenceGrammar, commit

# The phases that report a result. Jenkins may be configured to send messages for only one of these phases. The plugin's
# first versions sent FINISHED instead.
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
    """Jenkins' messages. They are not signed; the user and the secret in the endpoint's URL authenticate them."""

    name: ClassVar[str] = "jenkins"
    references: ClassVar[ReferenceGrammar | None] = None
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})
    event_name: ClassVar[EventName] = EventName(name=("build", "phase"))
    proof_headers: ClassVar[frozenset[str]] = frozenset({"authorization"})
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = BASIC

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:  # noqa: ARG002 - HTTP Basic signs neither body nor time
        check_basic(headers, secrets)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG002 - no header contains an id
        return content_id("", body)

    def document(self, delivery: Delivery) -> bytes:
        if delivery.body.lstrip().startswith(b"<"):
            raise UnreadableDelivery("the body is XML; choose the format JSON for the endpoint in Jenkins")
        return require_utf8(delivery.body)

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        notification = decode(self.document(delivery), _Notification)
        phase = notification.build.phase
        if phase not in _ENDS:
            return Nothing(f"a run in phase {shorten(phase)} has no result yet; COMPLETED and FINALIZED report one")
        return _read_run(notification)


def _read_run(notification: _Notification) -> Sequence[Observation] | Nothing:
    build, repository = notification.build, notification.build.scm or _Repository()
    if repository.commit is None or not is_commit(repository.commit):
        return Nothing("the run names no commit of Git")
    at = _ended_at(build)
    if at is None:
        return Nothing("the run names no time; update the Notification plugin")
    return finished_run(
        commit(repository.commit),
        at,
        workflow=notification.name,
        conclusion=build.status,
        branch=_local_branch(repository.branch or ""),
        message=None,
    )


def _ended_at(build: _Build) -> datetime | None:
    match build.timestamp:
        case int() as milliseconds:
            return from_unix(milliseconds, "build.timestamp")
        case "" | None:
            return None
        case str() as text:
            return read_time(text, "build.timestamp")
        case _ as never:
            assert_never(never)


def _local_branch(branch: str) -> str:
    """The name of a branch without the prefix that Jenkins' Git plugin adds for the remote."""
    return branch.removeprefix("refs/remotes/").removeprefix("origin/")
