"""The scorecard as a page for people: the table that the terminal shows, and links to other teams and windows."""

from collections.abc import Iterator
from html import escape
from urllib.parse import urlencode

import click
from starlette.responses import HTMLResponse

from service.api.http.page import page
from service.metrics.view import ORGANISATION
from service.presentation.scorecard_table import table, team_in_words
from service.scorecard.figure import Scorecard

_COLUMNS = 80
_WINDOWS = ("7d", "30d", "90d", "365d")


def scorecard_page(compiled: bytes) -> HTMLResponse:
    """Show a scorecard, given as JSON, as a page."""
    card = Scorecard.model_validate_json(compiled)
    shown = escape(click.unstyle(table(card, _COLUMNS, names_options=False)))
    windows = ", ".join(_link(window, card, window=window) for window in _WINDOWS)
    return page(
        "Scorecard",
        f'<pre class="table">{shown}</pre>\n<p>Teams: {", ".join(_teams(card))}</p>\n<p>Windows: {windows}</p>\n'
        f"<p>The same {_link('as JSON', card, format='json')}, for programs. In a terminal, "
        "<code>loopgauge scorecard</code> prints the table.</p>",
    )


def _teams(card: Scorecard) -> Iterator[str]:
    for team in (ORGANISATION, *card.teams):
        yield _link(team_in_words(team), card, team=team)


def _link(text: str, card: Scorecard, **changed: str) -> str:
    """A link to the scorecard of another team or window, or to another form of it. It works behind any path prefix."""
    parameters = {"team": card.team, "window": card.window, "format": "html", **changed}
    return f'<a href="?{escape(urlencode(parameters))}">{escape(text)}</a>'
