"""The ways from one dashboard to the next; the installation, the team, the window and the time range go along."""

from dataclasses import dataclass

TAG = "loopgauge"
"""What all dashboards are tagged with, so that each can list the others."""

_KEPT = "${namespace:queryparam}&${window:queryparam}&${datasource:queryparam}&${__url_time_range}"


@dataclass(frozen=True, slots=True)
class Link:
    """A way to a dashboard, or from a row of a table to where that row says.

    Attributes:
        says: what a reader clicks on.
        url: with Grafana's variables.
        new_tab: whether it leaves what the reader looks at.
    """

    says: str
    url: str
    new_tab: bool = False

    def built(self) -> dict[str, object]:
        """The link as the fields of a panel have it; the SDK's class is for the links of dashboards."""
        return {"title": self.says, "url": self.url, "targetBlank": self.new_tab}


def _to(says: str, uid: str) -> Link:
    return Link(says, f"/d/{uid}?${{team:queryparam}}&{_KEPT}")


LEARNING_UID = "loopgauge-learning"
TEAM_UID = "loopgauge-team"
FAILURES_UID = "loopgauge-failures"
DATA_QUALITY_UID = "loopgauge-data-quality"
SERVICE_HEALTH_UID = "loopgauge-service-health"

TO_TEAM = _to("The loops of this team", TEAM_UID)
TO_FAILURES = _to("Failures and learning", FAILURES_UID)
TO_DATA_QUALITY = _to("Why is this empty? Data quality", DATA_QUALITY_UID)
TO_SERVICE_HEALTH = _to("Service health", SERVICE_HEALTH_UID)
TO_TEAM_OF_ROW = Link("The loops of this team", f"/d/{TEAM_UID}?var-team=${{__value.raw:percentencode}}&{_KEPT}")
TO_EXPERIMENT = Link("Open the experiment where it lives", "${__data.fields.Address}", new_tab=True)
