"""The JSON of a dashboard, as the repository stores it and Grafana reads it."""

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.board import Board

DOCUMENTS = Path(__file__).parent / "json"
"""The directory of the generated dashboards."""


def encode_board(board: Board) -> str:
    """Return the dashboard as JSON; the same dashboard always gives the same text."""
    return f"{JSONEncoder(sort_keys=True, indent=1).encode(board.build())}\n"
