"""`python -m dashboards` writes the JSON of every dashboard."""

from dashboards import BOARDS
from dashboards.document import DOCUMENTS, encode_board

for board in BOARDS:
    (DOCUMENTS / f"{board.uid}.json").write_text(encode_board(board), encoding="utf-8")
