"""Rules: which observations mean what. Provider-neutral and pure."""
