"""Load rules files: the operator's own file, and the packaged files."""

from collections.abc import Sequence
from pathlib import Path

import service.providers
import service.rules
from service.lifecycle.nearest import did_you_mean
from service.providers import PROVIDERS
from service.rules.document import RulesFile
from service.rules.faults import Fault, InvalidRules
from service.rules.model import Rules
from service.rules.reader import read_rules, warn_about
from service.settings.model import Settings

_PROVIDERS_DIR = Path(service.providers.__file__).parent

_PACKAGED: Sequence[Path] = (
    Path(service.rules.__file__).with_name("defaults.yaml"),
    *filter(Path.is_file, (_PROVIDERS_DIR / name / "rules.yaml" for name in PROVIDERS)),
)
"""The packaged rules files: first the file for all providers, then the files for single providers."""


def load_rules(settings: Settings) -> Rules:
    """Load the rules file that the settings name, or else the packaged rules. The file may extend the packaged rules.

    Raises:
        InvalidRules: the file cannot be read, or is malformed.
    """
    return load_rules_file(settings.rules)


def load_rules_file(path: Path | None) -> Rules:
    """Load a rules file, or the packaged rules if there is no file. The file may extend the packaged rules.

    Raises:
        InvalidRules: the file cannot be read, or is malformed.
    """
    return read_rules(read_rules_file(path) if path else None, packaged_rules(), PROVIDERS)


def count_rules(path: Path | None, rules: Rules) -> tuple[int, int]:
    """The number of rules in the operator's own file, and the number of packaged rules that are in force.

    Args:
        rules: the rules that were loaded from the file.
    """
    own = read_rules(read_rules_file(path), (), PROVIDERS) if path else None
    extends = own is None or own.digest != rules.digest
    packaged = read_rules(None, packaged_rules(), PROVIDERS)
    return len(_names(own)) if own else 0, len(_names(packaged)) if extends else 0


def _names(rules: Rules) -> set[str]:
    return {rule.name for of_kind in rules.by_kind.values() for rule in of_kind}


def warn_about_rules(path: Path) -> Sequence[Fault]:
    """The warnings about a valid rules file.

    Raises:
        InvalidRules: the file cannot be read, or is malformed.
    """
    return warn_about(read_rules_file(path), PROVIDERS)


def packaged_rules() -> Sequence[RulesFile]:
    """Read the packaged rules files."""
    return [read_rules_file(path) for path in _PACKAGED]


def read_rules_file(path: Path) -> RulesFile:
    """Read the text of a rules file.

    Raises:
        InvalidRules: the file cannot be read.
    """
    try:
        return RulesFile(str(path), path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        fault = Fault(str(path), line, column, "", "the file is not UTF-8; save it as UTF-8")
        raise InvalidRules([fault]) from error
    except OSError as error:
        raise InvalidRules([Fault(str(path), 0, 0, "", _explain_unreadable(path, error))]) from error


def _explain_unreadable(path: Path, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "; ".join(filter(None, ("there is no such file", did_you_mean(path.name, _siblings(path)))))
        case IsADirectoryError():
            return "expected a file, got a directory; name a file in it"
        case PermissionError():
            return "this user may not read the file; change its owner or its permissions"
        case _:
            return error.strerror or str(error)


def _siblings(path: Path) -> list[str]:
    """The names of the files in the directory of a file; none if the directory cannot be read."""
    try:
        return [sibling.name for sibling in path.parent.iterdir()]
    except OSError:
        return []
