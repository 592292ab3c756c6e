"""GitHub: repository, organisation and App webhooks.

Source: "Webhook events and payloads" and "Validating webhook deliveries" in GitHub's documentation. Only the
fields in use are decoded, since payloads vary by version and event.
"""

import re
from binascii import a2b_qp
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from service.deliveries.decoding import AnyObject, decode, require_utf8, shorten
from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
from service.deliveries.event_name import EventName
from service.deliveries.observation import Nothing, Observation
from service.deliveries.signatures import SecurityScheme, SignatureRefused, check_hmac, header_scheme
from service.lifecycle.references import ReferenceGrammar
from service.providers.github import checks, commits, items, merge_queue, parents, repositories
from service.providers.github.references import REFERENCES

_SIGNATURE = "x-hub-signature-256"
_LEGACY_SIGNATURE = "x-hub-signature"
_EVENT = "x-github-event"
_DELIVERY = "x-github-delivery"
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

EVENTS: Mapping[str, Callable[[bytes], Sequence[Observation] | Nothing]] = {
    "check_run": checks.read_check_run,
    "check_suite": checks.read_check_suite,
    "deployment_status": commits.read_deployment_status,
    "issue_comment": items.read_issue_comment,
    "issues": items.read_issue,
    "merge_group": merge_queue.read_merge_group,
    "pull_request": items.read_pull_request,
    "push": commits.read_push,
    "repository": repositories.read_repository,
    "status": checks.read_status,
    "sub_issues": parents.read_sub_issues,
    "workflow_run": commits.read_workflow_run,
}
"""The supported types of events, and the function that reads each type."""


class GitHub:
    """GitHub's webhooks, signed with HMAC-SHA256 over the raw body."""

    name: ClassVar[str] = "github"
    references: ClassVar[ReferenceGrammar | None] = REFERENCES
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", _EVENT, _DELIVERY, "x-github-hook-id"})
    event_name: ClassVar[EventName] = EventName(header=_EVENT, action=("action",))
    proof_headers: ClassVar[frozenset[str]] = frozenset({_SIGNATURE, _LEGACY_SIGNATURE})
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = {
        "GitHub": header_scheme("X-Hub-Signature-256", "sha256= followed by a signature of the body.")
    }

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:  # noqa: ARG002 - the signature covers no time
        signature = headers.get(_SIGNATURE)
        if signature is None and _LEGACY_SIGNATURE in headers:
            raise SignatureRefused("only a SHA-1 signature was sent; X-Hub-Signature-256 is required")
        if signature is None:
            raise SignatureRefused("header X-Hub-Signature-256 is missing; set the webhook's secret in GitHub")
        if not signature.startswith("sha256="):
            raise SignatureRefused("header X-Hub-Signature-256 does not begin with sha256=")
        check_hmac(signature.removeprefix("sha256="), body, secrets)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        return headers.get(_DELIVERY) or content_id(headers.get(_EVENT, ""), body)

    def document(self, delivery: Delivery) -> bytes:
        body = require_utf8(delivery.body)
        if not delivery.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
            return body
        return _read_form(body)

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        event = delivery.headers.get(_EVENT)
        if not event:
            raise UnreadableDelivery("header X-GitHub-Event is missing")
        document = self.document(delivery)
        reader = EVENTS.get(event)
        if reader is not None:
            return reader(document)
        decode(document, AnyObject)
        if event == "ping":
            return Nothing("a ping: the webhook is connected")
        return Nothing(f"GitHub's `{shorten(event)}` events say nothing about experiments")


def _read_form(body: bytes) -> bytes:
    """The document in a form, which consists of the field `payload` alone.

    The signature does not cover the content type, so a signed JSON body may arrive as a form. Texts in that body, such
    as the text of a comment, could then contain another field `payload`. No JSON body begins with `payload=`.
    """
    if not body.startswith(b"payload=") or b"&" in body:
        raise UnreadableDelivery("the form does not consist of one field `payload`")
    encoded = body.removeprefix(b"payload=")
    if _NO_ESCAPE.search(encoded):
        raise UnreadableDelivery("the form cannot be read: a % is not followed by two hexadecimal digits")
    # A form of 25 MB takes `urllib.parse` seconds and 2 GB of memory. Quoted-printable has the same escapes, with "="
    # in place of "%", and its decoder takes a twentieth of that.
    return require_utf8(a2b_qp(encoded.replace(b"+", b" ").replace(b"=", b"=3D").replace(b"%", b"=")))
