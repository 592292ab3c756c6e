"""Queries: what callers read from the store, and the few writes that people start."""
