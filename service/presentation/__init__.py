"""Presentation: the form in which the API and the commands show deliveries, experiments and scorecards."""
