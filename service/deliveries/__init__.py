"""Webhook deliveries: signatures, decoding, and the observations that providers make from a delivery. Pure."""
