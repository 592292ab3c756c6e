"""The scorecard answers the four questions for one team or the organisation. Its values equal those of `/metrics`."""
