"""The scorecard answers four questions about one team or the organisation.

Its values are computed like those of `/metrics`.
"""
