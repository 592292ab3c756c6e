"""A dashboard: sections of panels, variables, and links to the other dashboards."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLink,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from dashboards.links import TAG
from dashboards.panels import DATASOURCE, derive_id
from dashboards.promql import select
from service.metrics.view import ORGANISATION

_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under a caption, placed from left to right. A panel that does not fit into the line begins a new line.

    Attributes:
        panels: the columns. A column is one panel, or a sequence of panels that are placed one below the other.
        fixed_id: the id of the section's row, if it is not derived from the caption. When you change a caption, set
            `fixed_id` to the old id, so that the row keeps its id.
    """

    caption: str
    panels: Sequence[Panel | Sequence[Panel]]
    fixed_id: int | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        uid: the dashboard's id in addresses. Links from other dashboards use this id.
        since: the start of the default time range.
        refresh: the interval at which Grafana repeats the queries.
    """

    uid: str
    title: str
    description: str
    sections: Sequence[Section] = field(repr=False)
    since: str = "now-26w"
    refresh: str = "5m"

    def build(self) -> Dashboard:
        """Build the dashboard as Grafana reads it."""
        dashboard = (
            build.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .readonly()
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .time(self.since, "now")
            .refresh(self.refresh)
            .variables([_datasource(), _namespace(), _team(), _window()])
            .build()
        )
        dashboard.panels = _place_sections(self.sections)
        dashboard.links = [_link_to_others()]
        return dashboard


def _place_sections(sections: Sequence[Section]) -> list[Panel | RowPanel]:
    """Return the rows and panels with their positions."""
    placed: list[Panel | RowPanel] = []
    top = 0
    for section in sections:
        position = GridPos(h=1, w=_WIDTH, x=0, y=top)
        row_id = section.fixed_id or derive_id(section.caption)
        placed.append(RowPanel(collapsed=False, title=section.caption, grid_pos=position, id_val=row_id))
        left, top, bottom = 0, top + 1, top + 1
        for panel in section.panels:
            column = [panel] if isinstance(panel, Panel) else panel
            width = max(_size_of(panel).w for panel in column)
            if left + width > _WIDTH:
                left, top = 0, bottom
            placed += column
            bottom = max(bottom, _stack(column, left, top))
            left += width
        top = bottom
    return placed


def _stack(column: Sequence[Panel], left: int, top: int) -> int:
    """Place panels one below the other, and return the bottom edge of the last one."""
    for panel in column:
        size = _size_of(panel)
        panel.grid_pos = GridPos(h=size.h, w=size.w, x=left, y=top)
        top += size.h
    return top


def _size_of(panel: Panel) -> GridPos:
    return panel.grid_pos or GridPos()


def _datasource() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _namespace() -> build.QueryVariable:
    # If the series have no label `namespace`, this list is empty and the panels treat all series as one installation.
    variable = _query_variable("namespace", "label_values(loopgauge_build_info, namespace)")
    return variable.label("Namespace").sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)


def _team() -> build.QueryVariable:
    variable = _query_variable("team", f"label_values({select('threshold_seconds')}, team)")
    return (
        variable.label(f"Team ({ORGANISATION}: all)")
        .sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .current(VariableOption(text=ORGANISATION, value=ORGANISATION))
    )


def _window() -> build.QueryVariable:
    # Read the windows from the metric `excluded`: it has a series for every window, even before the first experiment.
    variable = _query_variable("window", f"label_values({select('excluded')}, window)")
    return variable.label("Window").sort(VariableSort.NUMERICAL_ASC).current(VariableOption(text="90d", value="90d"))


def _query_variable(name: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(multi=False)
        .include_all(include_all=False)
    )


def _link_to_others() -> DashboardLink:
    """Return the links to the other dashboards. Grafana shows the links above the panels instead of in a menu."""
    link = DashboardLink("loopgauge", DashboardLinkType.DASHBOARDS, tags=[TAG], include_vars=True, keep_time=True)
    link.placement = ""
    return link
