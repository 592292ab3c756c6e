"""Paths of files that tests read."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
DOCS = REPOSITORY / "docs"
DASHBOARDS = REPOSITORY / "dashboards"
RULE_FILES = sorted((DASHBOARDS / "rules").glob("*.yaml"))
CORPUS = REPOSITORY.parent / "shared" / "corpus"
"""The directory of webhook payloads as vendors published them. It is optional, and lies beside the repository."""
