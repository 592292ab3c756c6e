"""Jira: webhooks of Jira Cloud and Data Center, and bodies that workflows, Jira Automation and Jira Service Management
send.

Sources: "Webhooks" in the documentation of Jira Cloud, "Managing webhooks" in the documentation of Jira Data Center.
The body of Jira Automation and of Jira Service Management names no event: it is a ticket, alone or as `issue`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from service.deliveries.decoding import decode, require_utf8, shorten
from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
from service.deliveries.event_name import EventName
from service.deliveries.observation import Nothing, Observation
from service.deliveries.signatures import (
    BASIC,
    SecurityScheme,
    SignatureRefused,
    check_basic,
    check_hmac,
    header_scheme,
)
from service.lifecycle.references import ReferenceGrammar
from service.providers.jira import events, projects
from service.providers.jira.payloads import Announcement, Unnamed
from service.providers.jira.references import REFERENCES

_SIGNATURE = "x-hub-signature"
_DELIVERY = "x-atlassian-webhook-identifier"
_METHODS = frozenset({"sha256", "sha384", "sha512"})


class Jira:
    """Jira's webhooks: signed as in WebSub, where the header names the hash function, or sent with HTTP Basic."""

    name: ClassVar[str] = "jira"
    references: ClassVar[ReferenceGrammar | None] = REFERENCES
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {"content-type", _DELIVERY, "x-atlassian-webhook-retry", "x-atlassian-webhook-flow"}
    )
    event_name: ClassVar[EventName] = EventName(name=("webhookEvent",))
    proof_headers: ClassVar[frozenset[str]] = frozenset({_SIGNATURE, "authorization"})
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = {
        "Jira": header_scheme("X-Hub-Signature", "sha256= followed by a signature of the body."),
        **BASIC,
    }

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:  # noqa: ARG002 - the signature covers no time
        signature = headers.get(_SIGNATURE)
        if signature is not None:
            _check_signature(signature, body, secrets)
        elif "authorization" in headers:
            check_basic(headers, secrets)
        else:
            raise SignatureRefused(
                "header X-Hub-Signature is missing; set the webhook's secret in Jira, or put user:secret@ before the"
                " URL's host"
            )

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        return headers.get(_DELIVERY) or content_id("", body)

    def document(self, delivery: Delivery) -> bytes:
        return require_utf8(delivery.body)

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        document = self.document(delivery)
        event = decode(document, Announcement).webhook_event
        if not event:
            return _read_unnamed(document)
        if event.startswith("jira:issue_"):
            return events.read_issue_event(event, document)
        if event.startswith("comment_"):
            return events.read_comment_event(event, document)
        if event in projects.EVENTS:
            return projects.read_project_event(event, document)
        if event.startswith("issuelink_"):
            return Nothing(
                "the link names its tickets by their ids alone; the next delivery about a ticket has its links"
            )
        return Nothing(f"Jira's `{shorten(event)}` events say nothing about experiments")


def _check_signature(signature: str, body: bytes, secrets: Sequence[bytes]) -> None:
    method, equals, digest = signature.partition("=")
    if not equals:
        raise SignatureRefused("header X-Hub-Signature is not <method>=<signature>")
    if method.lower() == "sha1":
        raise SignatureRefused("the signature's method sha1 is too weak; sha256, sha384 and sha512 are accepted")
    if method.lower() not in _METHODS:
        raise SignatureRefused("the signature's method is not supported; sha256, sha384 and sha512 are accepted")
    check_hmac(digest, body, secrets, method=method.lower())


def _read_unnamed(document: bytes) -> Sequence[Observation]:
    """Read a body that names no event: a workflow's post function, or a ticket."""
    body = decode(document, Unnamed)
    transition = body.transition
    if transition is not None and (transition.from_status or transition.to_status):
        return events.read_transition(document)
    if body.issue is not None:
        return events.read_state(document)
    if body.key is not None:
        return events.read_ticket(document)
    raise UnreadableDelivery("a field is missing or malformed: missing required field `webhookEvent` or `issue`")
