"""A dashboard: sections of panels, what can be chosen, and the ways to the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

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
from dashboards.panels import DATASOURCE
from dashboards.promql import select
from service.metrics.view import ORGANISATION

_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under a caption, set from left to right; what does not fit begins the next line.

    Attributes:
        panels: the columns; several panels in one stand one below the other.
    """

    caption: str
    panels: Sequence[Panel | Sequence[Panel]]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        uid: its name in addresses; links rely on it.
        since: the beginning of the time range that it opens with.
        refresh: how often it asks anew.
    """

    uid: str
    title: str
    description: str
    sections: Sequence[Section] = field(repr=False)
    since: str = "now-26w"
    refresh: str = "5m"

    def built(self) -> Dashboard:
        """The dashboard as Grafana has it."""
        made = (
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
        made.panels = _placed(self.sections)
        made.links = [_others()]
        return made


def _placed(sections: Sequence[Section]) -> list[Panel | RowPanel]:
    """Rows and panels, each with its place, and an id that it keeps when others come and go."""
    placed: list[Panel | RowPanel] = []
    top = 0
    for section in sections:
        place = GridPos(h=1, w=_WIDTH, x=0, y=top)
        placed.append(RowPanel(collapsed=False, title=section.caption, grid_pos=place, id_val=_id(section.caption)))
        left, top, bottom = 0, top + 1, top + 1
        for panel in section.panels:
            column = [panel] if isinstance(panel, Panel) else panel
            width = max(_size(panel).w for panel in column)
            if left + width > _WIDTH:
                left, top = 0, bottom
            placed += column
            bottom = max(bottom, _stack(column, left, top))
            left += width
        top = bottom
    return placed


def _stack(column: Sequence[Panel], left: int, top: int) -> int:
    """Place panels one below the other; where the last one ends."""
    for panel in column:
        size = _size(panel)
        panel.grid_pos = GridPos(h=size.h, w=size.w, x=left, y=top)
        panel.id_val = _id(panel.title or "")
        top += size.h
    return top


def _size(panel: Panel) -> GridPos:
    return panel.grid_pos or GridPos()


def _id(title: str) -> int:
    return crc32(title.encode()) % 1_000_000 + 1


def _datasource() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _namespace() -> build.QueryVariable:
    """What tells installations apart; where nothing has the label there is nothing to choose, and all are one."""
    variable = _query("namespace", "label_values(loopgauge_build_info, namespace)")
    return variable.label("Namespace").sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)


def _team() -> build.QueryVariable:
    variable = _query("team", f"label_values({select('threshold_seconds')}, team)")
    return (
        variable.label(f"Team ({ORGANISATION}: all)")
        .sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        .current(VariableOption(text=ORGANISATION, value=ORGANISATION))
    )


def _window() -> build.QueryVariable:
    # There from the start, and not only once there is an experiment.
    variable = _query("window", f"label_values({select('excluded')}, window)")
    return variable.label("Window").sort(VariableSort.NUMERICAL_ASC).current(VariableOption(text="90d", value="90d"))


def _query(name: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(multi=False)
        .include_all(include_all=False)
    )


def _others() -> DashboardLink:
    """The other dashboards, above the panels: the SDK would put them into a menu."""
    link = DashboardLink("loopgauge", DashboardLinkType.DASHBOARDS, tags=[TAG], include_vars=True, keep_time=True)
    link.placement = ""
    return link
