"""Queries: reads for the API and the commands, and the few writes that users start."""
