"""Presentation: experiments, explanations and scorecards as the API, the pages and the commands show them."""
