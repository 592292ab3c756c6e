"""The links of panels. A link to a dashboard keeps the chosen data source, installation, window and time range."""

from dataclasses import dataclass

TAG = "loopgauge"
"""The tag of all dashboards. Each dashboard uses this tag to list the other dashboards."""

_KEPT = "${namespace:queryparam}&${window:queryparam}&${datasource:queryparam}&${__url_time_range}"


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a dashboard, or a link from a row of a table to an address that the row contains.

    Attributes:
        text: the text that a reader clicks.
        url: the address, with Grafana's variables.
        new_tab: whether the link opens in a new tab.
    """

    text: str
    url: str
    new_tab: bool = False

    def to_field(self) -> dict[str, object]:
        """Return the link in the format of a panel field. The SDK has a class only for the links of a dashboard."""
        return {"title": self.text, "url": self.url, "targetBlank": self.new_tab}


def _link_to(text: str, uid: str) -> Link:
    return Link(text, f"/d/{uid}?${{team:queryparam}}&{_KEPT}")


LEARNING_UID = "loopgauge-learning"
TEAM_UID = "loopgauge-team"
FAILURES_UID = "loopgauge-failures"
DATA_QUALITY_UID = "loopgauge-data-quality"
SERVICE_HEALTH_UID = "loopgauge-service-health"

TO_TEAM = _link_to("The experiments of this team", TEAM_UID)
TO_FAILURES = _link_to("Failures and learning", FAILURES_UID)
TO_DATA_QUALITY = _link_to("Data quality: why is a value missing?", DATA_QUALITY_UID)
TO_SERVICE_HEALTH = _link_to("Service health", SERVICE_HEALTH_UID)
TO_TEAM_OF_ROW = Link("The experiments of this team", f"/d/{TEAM_UID}?var-team=${{__value.raw:percentencode}}&{_KEPT}")
TO_EXPERIMENT = Link("Open the experiment in its tracker", "${__data.fields.Address}", new_tab=True)
