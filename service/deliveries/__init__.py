"""Webhook deliveries: their signatures, their decoding, and the observations that providers make from them. Pure."""
