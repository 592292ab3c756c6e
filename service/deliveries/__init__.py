"""Webhook deliveries: their signatures, their decoding, and the observations that providers make of them. Pure."""
