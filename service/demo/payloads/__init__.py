"""The webhooks of the organisation's tools, in the format of each provider."""
