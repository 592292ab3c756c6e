"""The scorecard: the four questions for one team or the organisation, from the figures that `/metrics` has."""
