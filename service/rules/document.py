"""A rules file as a YAML document that keeps every scalar as text and records the line of every value.

YAML has surprises: `no` is false, `1.0` is a number, and anchors can expand to gigabytes. This module keeps every
scalar as text and refuses anchors and tags. Each error names file, line and path.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import ComposerError

_DEEPEST = 30


class InvalidRules(Exception):
    """A rules file is invalid. Each line of the message describes one problem.

    The line gives the file, the line of the file and, if known, the path of the wrong value, such as `rules.0.when`.
    """


@dataclass(frozen=True, slots=True)
class RulesFile:
    """The text of a rules file, and the file name that errors show."""

    name: str
    text: str


class _Loader(yaml.BaseLoader):
    """Refuses nesting that would exhaust the stack, and anchors, which can expand a few lines to gigabytes."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # PyYAML's stubs omit its type
        mark = event.start_mark
        if event.anchor is not None:
            raise ComposerError(problem="anchors and aliases are not supported", problem_mark=mark)
        if isinstance(event, yaml.CollectionStartEvent) and self._depth == _DEEPEST:
            raise ComposerError(problem="nested too deeply", problem_mark=mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def compose(file: RulesFile) -> yaml.Node | None:
    """Parse a file into YAML nodes that record their lines.

    Raises:
        InvalidRules: the file is not YAML, or uses a feature of YAML that is not supported.
    """
    try:
        return yaml.compose(file.text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = _line_of(error.problem_mark)
        raise InvalidRules(f"{file.name}:{line}: {error.problem or error.context or 'not YAML'}") from error
    except yaml.reader.ReaderError as error:
        line = file.text.count("\n", 0, error.position) + 1
        raise InvalidRules(f"{file.name}:{line}: {error.reason}") from error


def _line_of(mark: object) -> int:
    """The number of a mark's line, or 1 if there is no mark. `mark` is an `object`: PyYAML has two types of marks."""
    line: int = getattr(mark, "line", 0)
    return line + 1


def read_values(file: RulesFile, node: yaml.Node | None, path: tuple[str, ...] = ()) -> Any:
    """The values of a node. Every scalar is a text, even `no` and `1.0`.

    Raises:
        InvalidRules: a key is not a text or is a duplicate, or a node has a tag.
    """
    match node:
        case yaml.ScalarNode() if not node.tag or node.tag.startswith("tag:yaml.org,2002:str"):
            return node.value
        case yaml.SequenceNode(value=items):
            return [read_values(file, item, (*path, str(index))) for index, item in enumerate(items)]
        case yaml.MappingNode(value=pairs) if node.tag == "tag:yaml.org,2002:map":
            values: dict[str, Any] = {}
            for key, value in pairs:
                line = _line_of(key.start_mark)
                if not isinstance(key, yaml.ScalarNode):
                    raise InvalidRules(f"{file.name}:{line}: expected a text as key")
                if key.value in values:
                    raise InvalidRules(f"{file.name}:{line}: {'.'.join((*path, key.value))}: duplicate key")
                values[key.value] = read_values(file, value, (*path, key.value))
            return values
        case yaml.Node():
            raise InvalidRules(f"{file.name}:{_line_of(node.start_mark)}: tags such as {node.tag} are not supported")
        case _:
            return {}


def show_problem(file: RulesFile, node: yaml.Node | None, path: Sequence[int | str], problem: str) -> str:
    """Precede a problem with its file, line and path. For a missing value, show the line of its parent."""
    shown: list[str] = []
    line = _line_of(node.start_mark) if node is not None else 1
    for step in path:
        child = _find_child(node, step)
        if child is None:
            # No node matches: the value is missing, the file has a single value instead of a list, or the problem is
            # with the key itself.
            shown += [step] if isinstance(step, str) and step != "[key]" else []
            continue
        node, line = child
        shown.append(str(step))
    return f"{file.name}:{line}: {'.'.join(shown) or 'the file'}: {problem}"


def _find_child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, int] | None:
    """The child of a node, and the child's line. In a mapping, this is the line of the child's key."""
    match node, step:
        case yaml.SequenceNode(value=items), int() if step < len(items):
            return items[step], _line_of(items[step].start_mark)
        case yaml.MappingNode(value=pairs), str():
            return next(((value, _line_of(key.start_mark)) for key, value in pairs if key.value == step), None)
        case _:
            return None
