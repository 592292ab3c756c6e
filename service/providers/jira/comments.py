"""Comments, without their code blocks and quotations, except those with a command, which are written in Markdown.

Source: "Text formatting notation help" in Jira, and "Atlassian Document Format" in Atlassian's documentation.
"""

import re
from collections.abc import Iterator
from itertools import islice

from service.deliveries.decoding import read_time
from service.deliveries.observation import Commented, Observation, Observed
from service.providers.jira.payloads import Comment, Node, Text
from service.providers.jira.tickets import Ticket

# Double braces, as in {{code}}, mark monospaced text, not a block.
_MARKER = re.compile(r"(?<!\{)\{(code|noformat|quote)(?::[^{}\r\n]*)?\}(?!\})", re.IGNORECASE)
_QUOTE = "quote"
_CODE, _QUOTATION = "    ", "> "
"""The beginnings of lines of code and of quotations in Markdown."""
_MARKS = {"codeBlock": _CODE, "blockquote": _QUOTATION}
_COMMAND = "/experiment"
_DEEPEST = 20
_MOST_LINES = 1000


def read_comment(ticket: Ticket, comment: Comment) -> list[Observation]:
    """The observations of a new comment."""
    at = read_time(comment.created, "$.comment.created") if comment.created else ticket.at
    # `insider` is None, because Jira does not say whether the author may change the project.
    commented = Commented(ticket.subject, at, _plain(comment.body or ""), insider=None)
    return [Observed("active", ticket.subject, at), commented]


def read_edited_comment(ticket: Ticket, comment: Comment) -> Commented:
    """The observation that a comment was edited. Jira does not send the text before the edit."""
    return Commented(ticket.subject, ticket.at, _plain(comment.body or ""), insider=None, edited=True)


def _plain(body: Text) -> str:
    if isinstance(body, Node):
        return "\n".join(islice(_lines(body, _DEEPEST), _MOST_LINES))
    # Join with a space, so that text after a block is not at the start of a line, where it could be a command.
    shown = ((part if mark is None else "\n".join(_covered(part, mark)), mark) for part, mark in _parts(body))
    return " ".join(part for part, mark in shown if part or mark is None)


def _covered(text: str, mark: str) -> list[str]:
    """The lines of code or a quotation, if it contains a command. The rules then say why the command has no effect."""
    lines = [f"{mark}{line}" for line in text.splitlines()]
    return ["", "", *lines, "", ""] if _COMMAND in text.lower() else []


def _parts(text: str) -> Iterator[tuple[str, str | None]]:
    """The parts of a wiki text, each with the mark of its code block or quotation. An unclosed block extends to the end
    of the text.
    """
    literal, quoted, start = "", False, 0
    for marker in _MARKER.finditer(text):
        name = marker[1].lower()
        yield text[start : marker.start()], _CODE if literal else _QUOTATION if quoted else None
        # A code block ends only with its own marker. A quotation may contain code blocks.
        if literal:
            literal = "" if name == literal else literal
        elif name == _QUOTE:
            quoted = not quoted
        else:
            literal = name
        start = marker.end()
    yield text[start:], _CODE if literal else _QUOTATION if quoted else None


def _lines(node: Node, depth: int) -> Iterator[str]:
    """The paragraphs of an Atlassian Document Format text."""
    if not depth:
        return
    if mark := _MARKS.get(node.type or ""):
        yield from _covered("\n".join(_texts(node, depth)), mark)
        return
    if node.type == "paragraph":
        yield "".join(map(_inline, node.content or ()))
        return
    for part in node.content or ():
        yield from _lines(part, depth - 1)


def _texts(node: Node, depth: int) -> Iterator[str]:
    """All texts in a node."""
    if not depth:
        return
    yield from [node.text] if node.text else []
    for part in node.content or ():
        yield from _texts(part, depth - 1)


def _inline(node: Node) -> str:
    if node.type == "hardBreak":
        return "\n"
    is_code = any(mark.type == "code" for mark in node.marks or ())
    return f"`{node.text or ''}`" if is_code else node.text or ""
