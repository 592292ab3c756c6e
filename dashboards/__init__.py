"""The Grafana dashboards: Python code, and the JSON that it generates."""

from collections.abc import Sequence

from dashboards.board import Board
from dashboards.data_quality import DATA_QUALITY
from dashboards.failures import FAILURES
from dashboards.learning import LEARNING
from dashboards.service_health import SERVICE_HEALTH
from dashboards.team import TEAM

BOARDS: Sequence[Board] = (LEARNING, TEAM, FAILURES, DATA_QUALITY, SERVICE_HEALTH)
"""Every dashboard, in the order in which to read them."""
