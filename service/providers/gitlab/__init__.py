"""GitLab: project, group and system webhooks.

Source: "Webhooks", "Webhook events" and "System hooks" in GitLab's documentation. Only the fields used here are
decoded, since payloads vary by version and edition.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from service.deliveries.decoding import decode, short, utf8
from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
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
from service.providers.gitlab import changes, commits, items, notes, projects
from service.providers.gitlab.payloads import AnyEvent

_TOKEN = "x-gitlab-token"  # noqa: S105 - the name of a header, not a token
_SIGNATURE = "webhook-signature"
_EVENT = "x-gitlab-event"
_DELIVERY = "idempotency-key"
_MESSAGE = "webhook-id"

_READERS: Mapping[str, Callable[[bytes], Sequence[Observation] | Nothing]] = {
    "deployment": commits.deployment,
    "issue": items.issue,
    "merge_request": changes.merge_request,
    "note": notes.note,
    "pipeline": commits.pipeline,
    "project_rename": projects.renamed,
    "project_transfer": projects.renamed,
    "work_item": items.work_item,
}


class GitLab:
    """GitLab's webhooks, with a secret token or, from 19.0 on, signed as Standard Webhooks."""

    name: ClassVar[str] = "gitlab"
    # The event's UUID is kept for who looks into a delivery; hooks that set each other off share it, so it is no id.
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {"content-type", _EVENT, _DELIVERY, _MESSAGE, "x-gitlab-webhook-uuid", "x-gitlab-event-uuid"}
    )
    proof_headers: ClassVar[frozenset[str]] = frozenset({_TOKEN, *STANDARD_HEADERS})
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = {
        "GitLab": header_scheme("X-Gitlab-Token", "The source's secret."),
        **STANDARD_WEBHOOKS,
    }

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:
        keys = [secret for secret in secrets if is_signing_key(secret)]
        tokens = [secret for secret in secrets if not is_signing_key(secret)]
        signed = headers.get(_SIGNATURE) and (keys or _TOKEN not in headers)
        # Who has a key and no token is told of the signature that is missing.
        if signed or (keys and not tokens):
            check_standard_webhooks(headers, body, keys or tokens, now)
        else:
            check_token(headers.get(_TOKEN), tokens, "header X-Gitlab-Token")

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        return headers.get(_DELIVERY) or headers.get(_MESSAGE) or content_id(headers.get(_EVENT, ""), body)

    def document(self, delivery: Delivery) -> bytes:
        return utf8(delivery.body)

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        document = self.document(delivery)
        # Test and system hooks send the same bodies under headers of their own.
        event = decode(document, AnyEvent)
        kind = event.object_kind or event.event_name
        if not kind:
            raise UnreadableDelivery("a field is missing or malformed: Object missing required field `object_kind`")
        if kind == "push":
            return commits.push(document, delivery.received_at)
        reader = _READERS.get(kind)
        if reader is not None:
            return reader(document)
        return Nothing(f"GitLab's `{short(kind)}` events say nothing about experiments")
