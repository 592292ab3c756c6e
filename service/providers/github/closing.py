"""Find the issues that a text closes, by a keyword and a reference.

Source: "Linking a pull request to an issue using a keyword" and "Autolinked references and URLs" in GitHub's
documentation.
"""

import re
from itertools import islice
from urllib.parse import urlsplit

from service.deliveries.prose import read_prose
from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.references import Ref, item

_KEYWORD = r"(?<![\w-])(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\b:?\s+"
_CLOSES = re.compile(
    rf"{_KEYWORD}"
    r"(?:https?://(?P<host>[^/\s]{1,255})/(?P<url_project>[\w.-]+/[\w.-]+)/issues/(?P<url_number>[0-9]{1,18})"
    r"|(?:(?P<project>[\w.-]+/[\w.-]+)?#|GH-)(?P<number>[0-9]{1,18}))\b",
    re.IGNORECASE,
)
# Templates of pull requests have comments between a keyword and the place for the number.
_BEFORE_COMMENT = re.compile(rf"{_KEYWORD}<!--", re.IGNORECASE)
_HOST = "github.com"
_HIDDEN = "its body closes no item: its closing keywords are in code, a comment or a quotation"


def closed_by_body(body: str, project: str, address: str) -> tuple[frozenset[Ref], str]:
    """The issues that the body of a pull request closes; and, if its keywords are no prose, why it closes none.

    GitHub reads the keywords in prose only.

    Args:
        project: the repository of the pull request.
        address: the address of a page on the same host; empty for github.com.
    """
    if not _CLOSES.search(body) and not _BEFORE_COMMENT.search(body):
        return frozenset(), ""
    closed = closed_by_message(read_prose(body).text, project, address)
    hidden = not closed and closed_by_message(body, project, address)
    return closed, _HIDDEN if hidden else ""


def closed_by_message(message: str, project: str, address: str) -> frozenset[Ref]:
    """The issues that the message of a commit closes. A message is no Markdown.

    The number of issues is limited, because a text may name thousands. The address of an issue counts on its own host
    only: the host may be a GitHub Enterprise Server.
    """
    host = urlsplit(address).netloc.lower() or _HOST
    keywords = _CLOSES.finditer(message)
    found = (each for each in keywords if each["host"] is None or each["host"].lower() == host)
    return frozenset(
        item("github", each["url_project"] or each["project"] or project, int(each["url_number"] or each["number"]))
        for each in islice(found, MOST_TARGETS)
    )
