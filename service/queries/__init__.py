"""Queries: what callers ask of the store, and the few writes that people make by hand."""
