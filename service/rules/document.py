"""A rules file as a document: its text by the letter, and where in it something stands.

YAML has surprises (`no`, `1.0`, anchors that unfold to gigabytes): every scalar is the text that stands there, anchors
and tags are refused, and each complaint carries file, line and path.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import ComposerError

_DEEPEST = 30


class WrongRules(Exception):
    """A rules file cannot be used; each line of the message names file, line and path, and what was expected."""


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A rules file that was read from somewhere: its name for errors, and its text."""

    name: str
    text: str


class _Loader(yaml.BaseLoader):
    """Takes no anchors, a few lines of which unfold to gigabytes, and no depth that would exhaust the stack."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # the stubs leave its type out
        mark = event.start_mark
        if event.anchor is not None:
            raise ComposerError(problem="anchors and aliases are not known here", problem_mark=mark)
        if isinstance(event, yaml.CollectionStartEvent) and self._depth == _DEEPEST:
            raise ComposerError(problem="nested too deeply", problem_mark=mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def compose(file: RulesFile) -> yaml.Node | None:
    """The file as YAML's nodes, which know their lines."""
    try:
        return yaml.compose(file.text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise WrongRules(
            f"{file.name}:{_line(error.problem_mark)}: {error.problem or error.context or 'no YAML'}"
        ) from error
    except yaml.reader.ReaderError as error:
        line = file.text.count("\n", 0, error.position) + 1
        raise WrongRules(f"{file.name}:{line}: {error.reason}") from error


def _line(mark: object) -> int:
    """The line of YAML's mark, of which there are two types, or the first where there is none."""
    line: int = getattr(mark, "line", 0)
    return line + 1


def content(file: RulesFile, node: yaml.Node | None, path: tuple[str, ...] = ()) -> Any:
    """What nodes say, every scalar as the text that stands there: `no` is a word, and so is 1.0."""
    match node:
        case yaml.ScalarNode() if not node.tag or node.tag.startswith("tag:yaml.org,2002:str"):
            return node.value
        case yaml.SequenceNode(value=items):
            return [content(file, item, (*path, str(place))) for place, item in enumerate(items)]
        case yaml.MappingNode(value=pairs) if node.tag == "tag:yaml.org,2002:map":
            held: dict[str, Any] = {}
            for key, value in pairs:
                if not isinstance(key, yaml.ScalarNode):
                    raise WrongRules(f"{file.name}:{key.start_mark.line + 1}: expected a text as key")
                if key.value in held:
                    where = ".".join((*path, key.value))
                    raise WrongRules(f"{file.name}:{key.start_mark.line + 1}: {where}: stands here twice")
                held[key.value] = content(file, value, (*path, key.value))
            return held
        case yaml.Node():
            raise WrongRules(f"{file.name}:{node.start_mark.line + 1}: tags such as {node.tag} are not known here")
        case _:
            return {}


def complaint(file: RulesFile, node: yaml.Node | None, place: Sequence[int | str], message: str) -> str:
    """What is wrong at a place of a file, with its line and path, or those of the nearest place that is there."""
    path: list[str] = []
    line = node.start_mark.line + 1 if node is not None else 1
    for step in place:
        found = _child(node, step)
        if found is None:
            # A single value where a list is allowed, or a key that is missing or wrong in itself.
            path += [step] if isinstance(step, str) and step != "[key]" else []
            continue
        node, line = found
        path.append(str(step))
    return f"{file.name}:{line}: {'.'.join(path) or 'the file'}: {message}"


def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, int] | None:
    """The node at a step of a path, and the line on which it, or the key that it belongs to, begins."""
    match node, step:
        case yaml.SequenceNode(value=items), int() if step < len(items):
            return items[step], items[step].start_mark.line + 1
        case yaml.MappingNode(value=pairs), str():
            return next(((value, key.start_mark.line + 1) for key, value in pairs if key.value == step), None)
        case _:
            return None
