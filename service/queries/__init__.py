"""Queries: read what the API and the commands show, and make the few changes that users request, such as a replay."""
