"""The demo: a simulated organisation, and a client that posts the webhooks of its tools.

The demo is an outside client: it speaks HTTP to the service, as the tools of a real organisation do.
"""
