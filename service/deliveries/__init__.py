"""Deliveries: what a webhook sender posts, how it proves who it is, and what it says. Pure."""
