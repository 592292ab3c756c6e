"""The scorecard: answers to the four questions for one team or the organisation, with the values of `/metrics`."""
