"""The places of values in a rules file: line, column, and a path in words such as `rule 3 'a bet', when.label`."""

from collections.abc import Sequence
from typing import TypeAlias

import yaml

Path: TypeAlias = tuple[int | str, ...]
"""The keys and indices that lead to a value. If the key itself is meant, `KEY` follows it."""
Place: TypeAlias = tuple[int, int, str]
"""The place of a value: its line and its column, counted from 1, and its path in words."""

KEY = "[key]"


def position(mark: object) -> tuple[int, int]:
    """The line and the column of a mark, counted from 1. `mark` is an `object`: PyYAML has two types of marks."""
    return getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1


def find_place(root: yaml.Node | None, path: Path) -> Place:
    """The place of the value at a path. A missing value has the line and column of its parent."""
    node, mark = root, root.start_mark if root else None
    steps: list[tuple[int | str, yaml.Node | None]] = []
    for index, step in enumerate(path):
        key, child = _find_child(node, step)
        if key is not None and child is not None:
            # A collection often begins on the line after its key.
            by_key = not isinstance(child, yaml.ScalarNode) or path[index + 1 :] == (KEY,)
            mark = key.start_mark if by_key else child.start_mark
            steps.append((step, child))
            node = child
        elif isinstance(node, yaml.MappingNode) and isinstance(step, str) and step != KEY:
            # The key is missing. Any other step that is not found leads into a single value in place of a list or a
            # mapping, or is `KEY`: omit this step.
            steps.append((step, None))
    return *position(mark), _in_words(steps)


def _find_child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """The child of a node, preceded by the node where the child begins: its key or, in a list, the child itself."""
    match node, step:
        case yaml.SequenceNode(value=items), int() if step < len(items):
            return items[step], items[step]
        case yaml.MappingNode(value=pairs), str():
            return next(((key, value) for key, value in pairs if key.value == step), (None, None))
        case _:
            return None, None


def _in_words(steps: Sequence[tuple[int | str, yaml.Node | None]]) -> str:
    words, parent = "", None
    for step, child in steps:
        if isinstance(step, str):
            words += f"{', ' if isinstance(parent, int) else '.' if words else ''}{step}"
        elif parent == "rules":
            words = f"rule {step + 1}{_show_name(child)}"
        else:
            words += f", {'action' if parent == 'then' else 'value'} {step + 1}"
        parent = step
    return words


def _show_name(rule: yaml.Node | None) -> str:
    _, name = _find_child(rule, "name")
    return f" {name.value!r}" if isinstance(name, yaml.ScalarNode) and name.value else ""
