"""`python -m dashboards` writes every dashboard's JSON."""

from dashboards import BOARDS
from dashboards.document import DOCUMENTS, document

for board in BOARDS:
    (DOCUMENTS / f"{board.uid}.json").write_text(document(board), encoding="utf-8")
