"""GitLab: project, group and system webhooks.

Source: "Webhooks", "Webhook events" and "System hooks" in GitLab's documentation. Only the fields in use are
decoded, since payloads vary by version and edition.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar

from service.deliveries.containers import Happened
from service.deliveries.decoding import decode, require_utf8, shorten
from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
from service.deliveries.event_name import EventName
from service.deliveries.observation import Nothing, Observation
from service.deliveries.signatures import (
    STANDARD_HEADERS,
    STANDARD_WEBHOOKS,
    SecurityScheme,
    check_standard_webhooks,
    check_token,
    header_scheme,
    is_signing_key,
)
from service.lifecycle.references import ReferenceGrammar
from service.providers.gitlab import changes, commits, items, notes, projects
from service.providers.gitlab.payloads import AnyEvent
from service.providers.gitlab.references import REFERENCES

_TOKEN = "x-gitlab-token"  # noqa: S105 - the name of a header, not a token
_SIGNATURE = "webhook-signature"
_EVENT = "x-gitlab-event"
_DELIVERY = "idempotency-key"
_MESSAGE = "webhook-id"

_HAPPENED: Mapping[str, Happened] = {"create": "restored", "destroy": "deleted"}
_READERS: Mapping[str, Callable[[bytes], Sequence[Observation] | Nothing]] = {
    **{
        f"{kind}_{action}": partial(read, happened=happened)
        for kind, read in (
            ("project", projects.read_project),
            ("group", projects.read_group),
            ("subgroup", projects.read_group),
        )
        for action, happened in _HAPPENED.items()
    },
    "deployment": commits.read_deployment,
    "group_rename": projects.read_namespace_rename,
    "issue": items.read_issue,
    "merge_request": changes.read_merge_request,
    "note": notes.read_note,
    "pipeline": commits.read_pipeline,
    "project_rename": projects.read_rename,
    "project_transfer": projects.read_rename,
    "user_rename": projects.read_namespace_rename,
    "work_item": items.read_work_item,
}


class GitLab:
    """GitLab's webhooks, authenticated by a secret token or, since GitLab 19.0, signed as Standard Webhooks."""

    name: ClassVar[str] = "gitlab"
    references: ClassVar[ReferenceGrammar | None] = REFERENCES
    # The event's UUID is stored for debugging. It does not identify a delivery: webhooks that trigger each other share
    # one UUID.
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {"content-type", _EVENT, _DELIVERY, _MESSAGE, "x-gitlab-webhook-uuid", "x-gitlab-event-uuid"}
    )
    event_name: ClassVar[EventName] = EventName(header=_EVENT, action=("object_attributes", "action"))
    proof_headers: ClassVar[frozenset[str]] = frozenset({_TOKEN, *STANDARD_HEADERS})
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = {
        "GitLab": header_scheme("X-Gitlab-Token", "The source's secret."),
        **STANDARD_WEBHOOKS,
    }

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:
        keys = [secret for secret in secrets if is_signing_key(secret)]
        tokens = [secret for secret in secrets if not is_signing_key(secret)]
        signed = headers.get(_SIGNATURE) and (keys or _TOKEN not in headers)
        # If the source has only signing keys, check the signature even of a request without one, so that the error says
        # that the signature is missing.
        if signed or (keys and not tokens):
            check_standard_webhooks(headers, body, keys or tokens, now)
        else:
            check_token(headers.get(_TOKEN), tokens, "header X-Gitlab-Token")

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        return headers.get(_DELIVERY) or headers.get(_MESSAGE) or content_id(headers.get(_EVENT, ""), body)

    def document(self, delivery: Delivery) -> bytes:
        return require_utf8(delivery.body)

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        document = self.document(delivery)
        # Identify the event by its body: test hooks and system hooks send the same bodies with other headers.
        event = decode(document, AnyEvent)
        kind = event.object_kind or event.event_name
        if not kind:
            raise UnreadableDelivery("a field is missing or malformed: missing required field `object_kind`")
        if kind == "push":
            return commits.read_push(document, delivery.received_at)
        reader = _READERS.get(kind)
        if reader is not None:
            return reader(document)
        return Nothing(f"GitLab's `{shorten(kind)}` events say nothing about experiments")
