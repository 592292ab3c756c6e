"""Explain YAML's syntax errors in the words of authors: where the error is, and what to write instead."""

import re
from collections.abc import Sequence

import yaml

_QUOTE = "quote a text that contains a colon and a space, a comma, a bracket or a brace"
_EXPLANATIONS: Sequence[tuple[str, str]] = (
    (r"found character '\\t'", "a tab cannot indent a line; use spaces"),
    (r"found character '(.)' that cannot start", "a text cannot begin with {0}; quote the text"),
    (r"expected alphabetic or numeric character", "a text cannot begin with * or &; quote the text, such as '*'"),
    (r"mapping values are not allowed here", f"a colon is not expected here; indent equal keys equally, and {_QUOTE}"),
    (r"expected <block end>, but found '(?:<block|\?|-)", "the indentation does not fit the lines above{began}"),
    (r"expected <block end>", f"expected a new line; {_QUOTE}"),
    (r"expected ',' or '(.)', but got '<stream end>'", "expected a {0}{began}"),
    (r"expected ',' or '(.)'", f"expected a comma or a {{0}}{{began}}; {_QUOTE}"),
    (r"could not find expected ':'", "expected a colon after the key"),
    (r"found unexpected end of stream", "the quotation that begins here has no end"),
    (r"expected the node content, but found '<stream end>'", "the file ends before the end of the list or mapping"),
    (r"expected the node content, but found '(.*)'", f"expected a value, got {{0}}; {_QUOTE}"),
    (r"found unknown escape character", "a backslash begins an escape in double quotes; use single quotes"),
    (r"found another document", "expected one document; remove the line ---"),
)
_AT_THE_BEGINNING = ("could not find expected ':'", "found unexpected end of stream")
"""The problems whose cause is where the value begins, not where the reader gives up."""


def explain_syntax(error: yaml.MarkedYAMLError) -> tuple[object, str]:
    """The mark (the position in the file) and the explanation of a syntax error."""
    problem = error.problem or error.context or "not YAML"
    began = error.context_mark
    mark = began if began and problem.startswith(_AT_THE_BEGINNING) else error.problem_mark or began
    since = f" in the block that begins on line {began.line + 1}" if began else ""
    for pattern, explanation in _EXPLANATIONS:
        if found := re.search(pattern, problem):
            return mark, explanation.format(*found.groups(), began=since)
    return mark, problem
