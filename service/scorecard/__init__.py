"""The scorecard answers the four questions for one team or the organisation.

Its values are computed like those of `/metrics`.
"""
