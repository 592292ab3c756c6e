"""Presentation: how the API and the commands show deliveries, experiments and scorecards."""
