"""Buildkite: pipeline webhooks.

Source: "Pipelines webhooks" and "Build webhook events" in Buildkite's documentation.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from service.deliveries.decoding import decode, is_commit, read_time, require_utf8, shorten
from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
from service.deliveries.event_name import EventName
from service.deliveries.observation import Nothing, Observation, Outsider, finished_run
from service.deliveries.signatures import (
    SecurityScheme,
    SignatureRefused,
    check_hmac,
    check_time,
    check_token,
    header_scheme,
)
from service.lifecycle.references import ReferenceGrammar, commit

_EVENT = "x-buildkite-event"
_BLOCKED = "blocked"
_SIGNATURE = "x-buildkite-signature"
_TOKEN = "x-buildkite-token"  # noqa: S105 - the name of a header


class _Envelope(msgspec.Struct):
    event: str | None = None


class _Build(msgspec.Struct):
    state: str | None = None
    blocked: object = None
    """Whether the build waits at a block step. All steps before this step have ended."""
    commit: str | None = None
    branch: str | None = None
    message: str | None = None
    finished_at: str | None = None


class _Pipeline(msgspec.Struct):
    slug: str | None = None


class _BuildFinished(msgspec.Struct):
    build: _Build
    pipeline: _Pipeline | None = None


class Buildkite:
    """Buildkite's webhooks: signed with HMAC-SHA256 over a timestamp and the raw body, or sent with a plain token."""

    name: ClassVar[str] = "buildkite"
    references: ClassVar[ReferenceGrammar | None] = None
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", _EVENT})
    event_name: ClassVar[EventName] = EventName(header=_EVENT, name=("event",), document_first=True)
    proof_headers: ClassVar[frozenset[str]] = frozenset({_SIGNATURE, _TOKEN})
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = {
        "Buildkite": header_scheme(
            "X-Buildkite-Signature", "timestamp=…,signature=…; the signature covers the timestamp and the body."
        ),
        "BuildkiteToken": header_scheme("X-Buildkite-Token", "The source's secret."),
    }

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:
        header = headers.get(_SIGNATURE)
        if header is None:
            check_token(headers.get(_TOKEN), secrets, "header X-Buildkite-Signature or X-Buildkite-Token")
            return
        parts = dict(part.strip().partition("=")[::2] for part in header.split(","))
        if not parts.get("timestamp") or not parts.get("signature"):
            raise SignatureRefused("header X-Buildkite-Signature is not timestamp=…,signature=…")
        check_time(parts["timestamp"], now, "the timestamp in header X-Buildkite-Signature")
        check_hmac(parts["signature"], b".".join((parts["timestamp"].encode(), body)), secrets)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        return content_id(headers.get(_EVENT, ""), body)

    def document(self, delivery: Delivery) -> bytes:
        return require_utf8(delivery.body)

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        document = self.document(delivery)
        named = decode(document, _Envelope).event
        # A signature covers the body, but not the header.
        event = named or delivery.headers.get(_EVENT)
        if not event:
            raise UnreadableDelivery("the event's name is missing, both at `$.event` and in header X-Buildkite-Event")
        if event == "build.finished":
            return _read_build(decode(document, _BuildFinished), delivery.received_at)
        return Nothing(_ignored_reason(event))


def _read_build(event: _BuildFinished, received_at: datetime) -> Sequence[Observation] | Nothing:
    build, state = event.build, _state(event.build)
    if build.commit is None or not is_commit(build.commit):
        return Nothing("the build names no commit")
    if not build.finished_at and build.blocked is not True and state != _BLOCKED:
        return Nothing("the build does not say when it finished")
    # Buildkite writes the branch of a fork as `owner:branch`. Cut at the last colon: a branch name contains no colon.
    owner, _, branch = (build.branch or "").rpartition(":")
    subject = commit(build.commit)
    # Buildkite sends the event as soon as the build waits at a block step, but may not say when that was.
    at = read_time(build.finished_at, "build.finished_at") if build.finished_at else received_at
    observations = finished_run(
        subject,
        at,
        workflow=event.pipeline.slug if event.pipeline else None,
        conclusion=state,
        branch=branch,
        message=build.message,
    )
    return [*observations, *([Outsider(subject, at)] if owner else [])]


def _state(build: _Build) -> str | None:
    """The state of a build. A block step shows its build as passed, failed or running: `running` tells no result."""
    return _BLOCKED if build.blocked is True and build.state == "running" else build.state


def _ignored_reason(event: str) -> str:
    shown = shorten(event)
    if event == "ping":
        return "a ping: the webhook is connected"
    if event.startswith("build."):
        return f"a build that is {shown.removeprefix('build.')} has no result yet"
    if event.startswith("job."):
        return "a job is one part of a build; choose the event build.finished instead"
    return f"Buildkite's `{shown}` events say nothing about experiments"
