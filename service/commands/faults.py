"""Print faults: of rules files, with their places, and of settings."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from service.rules.faults import Fault
    from service.rules.model import Rules
    from service.settings import SettingFault

_MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class CheckedRules:
    """A rules file, or the packaged rules, with the faults and warnings.

    Attributes:
        file: the file; None for the packaged rules.
        rules: the rules in force; None if the file has faults.
        own: the number of rules in the file.
        packaged: the number of packaged rules that are in force.
    """

    file: Path | None
    rules: "Rules | None"
    faults: "Sequence[Fault]" = ()
    warnings: "Sequence[Fault]" = ()
    own: int = 0
    packaged: int = 0

    def counts(self) -> str:
        """The numbers of rules in words."""
        if self.file is None:
            return _number(self.packaged, "packaged rule")
        own = f"{_number(self.own, 'rule')} of its own"
        if not self.packaged:
            return f"{own}; it does not extend the packaged rules"
        return f"{own}, and {_number(self.packaged, 'packaged rule')} that it extends"

    def document(self) -> dict[str, Any]:
        """The result as a JSON object."""
        faults, warnings = ([*map(_fault_document, found)] for found in (self.faults, self.warnings))
        file = str(self.file) if self.file else None
        counts = dict.fromkeys(("rules", "own", "packaged")) if self.rules is None else self._counts()
        return {"file": file, **counts, "faults": faults, "warnings": warnings}

    def _counts(self) -> dict[str, int | None]:
        return {"rules": self.own + self.packaged, "own": self.own, "packaged": self.packaged}


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def check_file(file: Path | None) -> CheckedRules:
    """Read a rules file, or the packaged rules if there is no file."""
    from service.rules.faults import InvalidRules
    from service.settings import count_rules, load_rules_file, warn_about_rules

    try:
        rules = load_rules_file(file)
    except InvalidRules as error:
        return CheckedRules(file, None, error.faults)
    own, packaged = count_rules(file, rules)
    return CheckedRules(file, rules, (), warn_about_rules(file) if file else (), own, packaged)


def fail_with_faults(faults: "Sequence[Fault]") -> NoReturn:
    """Print the faults of a rules file and the page that describes rules files, and end the process."""
    lines = list(map(str, faults[:_MOST_SHOWN]))
    if len(faults) > _MOST_SHOWN:
        lines.append(f"and {len(faults) - _MOST_SHOWN} more faults; --json lists all")
    if len(faults) > 1:
        lines.insert(0, f"the rules file has {len(faults)} faults")
    lines[0] = f"loopgauge: {lines[0]}"
    if any(fault.line for fault in faults):
        lines.append(f"{manual('rules.md')} describes rules files")
    click.echo("\n".join(map(wrap, lines)), err=True)
    sys.exit(1)


def fail_with_setting_faults(faults: "Sequence[SettingFault]") -> NoReturn:
    """Print the faults of settings, and end the process."""
    lines = list(map(str, faults))
    if len(faults) > 1:
        lines = [f"{len(faults)} settings are wrong; {manual('settings.md')} describes all settings", *lines]
    lines[0] = f"loopgauge: {lines[0]}"
    click.echo("\n".join(map(wrap, lines)), err=True)
    sys.exit(1)


def _fault_document(fault: "Fault") -> dict[str, Any]:
    place = {"file": fault.file, "line": fault.line or None, "column": fault.column or None}
    return {**place, "path": fault.path, "message": fault.message}


def wrap(line: str) -> str:
    """A line for standard error, wrapped at the width of the terminal. A line for a file or a pipe stays whole."""
    from service.commands.table import printable

    line = printable(line)
    if not sys.stderr.isatty():
        return line
    columns = shutil.get_terminal_size().columns
    return textwrap.fill(line, columns, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def manual(page: str) -> str:
    """The address of a page of the manual, or its place in the repository if the package names no address."""
    addresses = dict(line.split(", ", 1) for line in metadata("loopgauge").get_all("Project-URL") or ())
    root = addresses.get("Documentation", "docs")
    return f"{root.rstrip('/')}/{page}"
