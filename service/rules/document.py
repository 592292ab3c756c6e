"""A rules file as a YAML document that keeps every scalar as text.

YAML has surprises: `no` is false, `1.0` is a number, and anchors can expand to gigabytes. This module keeps every
scalar as text and refuses anchors and tags.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import ComposerError

from service.rules.faults import Fault, InvalidRules
from service.rules.places import KEY, Path, find_place, position
from service.rules.syntax import explain_syntax

_DEEPEST = 30
# A text in double quotes may contain escapes of characters that no database can store.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
"""The tags of values that have no tag in the file."""


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
            problem = "anchors and aliases are not supported; quote a text that begins with & or *"
            raise ComposerError(problem=problem, problem_mark=mark)
        if isinstance(event, yaml.CollectionStartEvent) and self._depth == _DEEPEST:
            raise ComposerError(problem="nested too deeply", problem_mark=mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


@dataclass(slots=True)
class Document:
    """The nodes of a rules file, and the faults found so far."""

    file: RulesFile
    root: yaml.Node | None
    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def parse(cls, file: RulesFile) -> "Document":
        """Parse a file into YAML nodes.

        Raises:
            InvalidRules: the file is not YAML, or uses a feature of YAML that is not supported.
        """
        try:
            return cls(file, yaml.compose(file.text, Loader=_Loader))
        except yaml.MarkedYAMLError as error:
            mark, problem = explain_syntax(error)
            raise InvalidRules([Fault(file.name, *position(mark), "", problem)]) from error
        except yaml.reader.ReaderError as error:
            line = file.text.count("\n", 0, error.position) + 1
            column = error.position - file.text.rfind("\n", 0, error.position)
            raise InvalidRules([Fault(file.name, line, column, "", str(error.reason))]) from error

    def read_values(self) -> Any:
        """The values of the file. Every scalar is a text, even `no` and `1.0`.

        A tag is a fault. A key that is not a text or is a duplicate is a fault, and its value is left out.
        """
        return self._read(self.root, ())

    def report(self, path: Path, problem: str) -> None:
        """Add a fault of the value at a path."""
        self.faults.append(Fault(self.file.name, *find_place(self.root, path), problem))

    def _read(self, node: yaml.Node | None, path: Path) -> Any:
        if node is not None and node.tag not in _TAGS:
            self.report(path, f"tags such as {node.tag} are not supported; quote a text that begins with !")
        match node:
            case yaml.ScalarNode(value=text):
                if _UNSTORABLE.search(text):
                    self.report(path, "a text cannot contain NUL or half of a surrogate pair; remove the escape")
                return text
            case yaml.SequenceNode(value=items):
                return [self._read(item, (*path, index)) for index, item in enumerate(items)]
            case yaml.MappingNode(value=pairs):
                return self._read_mapping(pairs, path)
            case _:
                return {}

    def _read_mapping(self, pairs: Sequence[tuple[yaml.Node, yaml.Node]], path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in pairs:
            if not isinstance(key, yaml.ScalarNode):
                self._report_key(key, path, "expected a text as key; quote a text that begins with { or [")
            elif _UNSTORABLE.search(key.value):
                self._report_key(key, path, "a key cannot contain NUL or half of a surrogate pair; remove the escape")
            elif key.value in values:
                problem = f"duplicate key; the key is on line {lines[key.value]} already"
                self._report_key(key, (*path, key.value), problem)
            else:
                lines[key.value], _ = position(key.start_mark)
                values[key.value] = self._read(value, (*path, key.value))
        return values

    def _report_key(self, key: yaml.Node, path: Path, problem: str) -> None:
        _, _, words = find_place(self.root, (*path, KEY))
        self.faults.append(Fault(self.file.name, *position(key.start_mark), words, problem))
