"""Requests with CloudEvents."""

import json
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.support.provider_examples import BATCHED, STRUCTURED


def structured(event: Any) -> HTTPMessage:
    """A request in structured mode with this event, or with any JSON that is not an event."""
    return HTTPMessage({"content-type": STRUCTURED}, json.dumps(event).encode())


def batched(*events: CloudEvent | dict[str, Any]) -> HTTPMessage:
    """A request with a batch of the given events."""
    bodies = [
        to_structured_event(one).body if isinstance(one, CloudEvent) else json.dumps(one).encode() for one in events
    ]
    return HTTPMessage({"content-type": BATCHED}, b"[" + b",".join(bodies) + b"]")
