"""Where the tests find what they read."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
CORPUS = REPOSITORY.parent / "shared" / "corpus"
"""Webhook payloads as vendors published them, where they are installed beside the repository."""
