"""The receipt with which the API answers an accepted event, and the result as which telemetry counts a refused one."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from service.api.http.problems import Overloaded
from service.providers.cloudevents import CloudEvents
from service.storage.errors import DatabaseMisconfigured, DatabaseUnavailable
from service.telemetry import Result

SOURCE = CloudEvents.name
"""The source of events that clients post to the API. Clients can sign their events with the secret of this source."""


class ReceivedEvent(BaseModel):
    """The id of the delivery that contains the event, and whether the event is new."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"delivery": "0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11", "status": "stored"}]}
    )

    delivery: UUID
    status: Literal["stored", "duplicate"]


def refusal_result(error: Exception) -> Result:
    """The result under which telemetry counts a delivery that raised an error."""
    return "error" if isinstance(error, DatabaseUnavailable | DatabaseMisconfigured | Overloaded) else "refused"
