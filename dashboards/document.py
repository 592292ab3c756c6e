"""The JSON of a dashboard, as it lies in the repository and as Grafana reads it."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.board import Board

DOCUMENTS = Path(__file__).parent / "json"
"""Where the written dashboards are."""


def document(board: Board) -> str:
    """The dashboard's JSON; the same for the same dashboard."""
    return f"{JSONEncoder(sort_keys=True, indent=1).encode(board.built())}\n"
