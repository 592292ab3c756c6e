"""`loopgauge check-config`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from service.commands.options import AS_JSON

if TYPE_CHECKING:
    from service.commands.faults import CheckedRules
    from service.settings import Inspection, RunningService, SettingFault, Settings, ShownThreshold


@click.command("check-config")
@click.option("--database", is_flag=True, help="Connect to PostgreSQL too, and check that its schema is up to date.")
@AS_JSON
def check_config(database: bool, as_json: bool) -> None:
    """Check the settings and the rules file, and show what is in force.

    The command reads the environment, the file .env, the files in LOOPGAUGE_SECRETS_DIR and the rules file, and prints
    every fault. If there are no faults, it prints each setting with its value and its origin, the threshold of each
    team, the number of rules, and the database. For a secret, it prints only `set`. The command does not need the
    database. The exit status is 0 if there are no faults, and 1 otherwise.
    """
    from service.commands.faults import check_file
    from service.settings import inspect_settings

    read = inspect_settings()
    reached: dict[str, str] | None = None
    if database and read.settings:
        reached, faults = _check_database(read.settings)
        read = replace(read, faults=faults)
    rules = check_file(read.rules_file)
    if as_json:
        click.echo(json.dumps(_document(read, rules, reached), indent=2))
    elif read.faults or rules.faults:
        _print_faults(read, rules)
    else:
        _print_in_force(read, rules, reached, checked=database)
    if not as_json:
        _print_warnings(read, rules)
    sys.exit(1 if read.faults or rules.faults else 0)


def _check_database(settings: "Settings") -> "tuple[dict[str, str] | None, list[SettingFault]]":
    """Find out whether PostgreSQL accepts writes and has the schema.

    The embedded PostgreSQL is started if it does not run. If it does not exist, nothing is checked, because the first
    start of the service creates it.

    Returns:
        the version and address of PostgreSQL and the revision of the schema, or the fault.
    """
    import asyncio

    from service.app import open_database
    from service.settings import SettingFault
    from service.storage.embedded import EmbeddedUnavailable
    from service.storage.errors import DatabaseError, DatabaseUnavailable, DatabaseUnprepared

    if settings.database_url is None and not _cluster(settings).is_dir():
        return None, []

    async def connect() -> dict[str, str]:
        async with open_database(settings) as opened:
            await opened.check_writable()
            revision = await opened.check_schema()
            return {"version": await opened.server_version(), "address": _address(settings), "schema": revision}

    try:
        return asyncio.run(connect()), []
    except EmbeddedUnavailable as error:
        return None, [SettingFault("LOOPGAUGE_DATA_DIR", str(error))]
    except DatabaseError as error:
        away = isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseUnprepared)
        advice = "; check that PostgreSQL runs there" if away else ""
        message = str(error).removeprefix("LOOPGAUGE_DATABASE_URL ")
        return None, [SettingFault("LOOPGAUGE_DATABASE_URL", f"{message}{advice}")]


def _cluster(settings: "Settings") -> Path:
    """The directory of the embedded PostgreSQL."""
    return settings.data_dir / "postgres"


def _address(settings: "Settings") -> str:
    """The host and the port of the database without the user and the password, or the embedded one's directory."""
    if settings.database_url is None:
        return str(_cluster(settings))
    return urlsplit(settings.database_url.get_secret_value()).netloc.rpartition("@")[2] or "a Unix socket"


def _document(read: "Inspection", rules: "CheckedRules", database: Mapping[str, str] | None) -> dict[str, Any]:
    from service.commands.faults import manual
    from service.settings import describe_database, find_running, show_settings

    services = find_running(read.settings.data_dir) if read.settings else []
    return {
        "valid": not (read.faults or rules.faults),
        "faults": list(map(asdict, read.faults)),
        "warnings": list(_warnings(read, rules)),
        "settings": list(map(asdict, show_settings(read.settings, read.origins))) if read.settings else [],
        "thresholds": [_threshold_document(each) for each in _thresholds(read, rules)],
        "rules": rules.document(),
        "database": database,
        "database_in_use": describe_database(read.settings) if read.settings else None,
        "running": [_service_document(service) for service in services],
        "reference": [manual("settings.md"), manual("rules.md")],
    }


def _service_document(service: "RunningService") -> dict[str, Any]:
    named = {"url": service.url, "role": service.role, "database": service.database}
    return {**named, "sources": dict(_sorted(service)), "reads": service.reads}


def _threshold_document(shown: "ShownThreshold") -> dict[str, str]:
    from service.lifecycle.durations import format_duration

    return {"team": shown.team, "threshold": format_duration(shown.threshold), "origin": shown.origin}


def _thresholds(read: "Inspection", rules: "CheckedRules") -> "Sequence[ShownThreshold]":
    """The thresholds in force; none if a fault hides them."""
    from service.settings import show_thresholds

    return (
        []
        if read.settings is None or rules.rules is None
        else [*show_thresholds(read.settings, rules.rules, read.origins)]
    )


def _print_faults(read: "Inspection", rules: "CheckedRules") -> None:
    from service.commands.faults import manual, wrap

    faults = [*read.faults, *rules.faults]
    click.echo(f"loopgauge: {len(faults)} {'fault' if len(faults) == 1 else 'faults'}", err=True)
    for fault in faults:
        click.echo(wrap(str(fault)), err=True)
    pages = [(read.faults, "settings.md", "settings"), (rules.faults, "rules.md", "rules files")]
    for found, page, subject in pages:
        if found:
            click.echo(f"{manual(page)} describes {subject}", err=True)


def _print_in_force(
    read: "Inspection", rules: "CheckedRules", database: Mapping[str, str] | None, *, checked: bool
) -> None:
    """Print what is in force.

    Args:
        database: the database that was reached; None if there is none.
        checked: whether the user asked to check the database.
    """
    from service.commands.table import fit
    from service.lifecycle.durations import describe_duration
    from service.settings import describe_database, find_running, has_dotenv, show_settings

    if read.settings is None:
        return
    shown = show_settings(read.settings, read.origins)
    _print_table(
        ("from", "setting", "value"), [(each.origin, each.setting, each.value or "(not set)") for each in shown]
    )
    click.echo()
    thresholds = _thresholds(read, rules)
    _print_table(
        ("from", "threshold of", "time from idea to answer"),
        [(each.origin, _team(each.team), describe_duration(each.threshold)) for each in thresholds],
    )
    click.echo()
    if not has_dotenv():
        click.echo("settings: this directory has no .env")
    for service in find_running(read.settings.data_dir):
        click.echo(fit(f"running: {_describe_service(service)}"))
    click.echo(fit(f"rules: {f'{rules.file} has ' if rules.file else ''}{rules.counts()}"))
    click.echo(fit(f"loopgauge uses {describe_database(read.settings)}"))
    if database:
        reached = "PostgreSQL {version} at {address}: reachable, schema {schema} is up to date".format_map(database)
        click.echo(fit(reached))
    elif checked:
        click.echo(fit(f"{_cluster(read.settings)} does not exist: the first start of the service creates it"))
    click.echo("no faults")


def _describe_service(service: "RunningService") -> str:
    sources = ", ".join(name if name == provider else f"{name} ({provider})" for name, provider in _sorted(service))
    return f"{service.url} runs with this data directory; role {service.role}, sources: {sources or 'none'}"


def _sorted(service: "RunningService") -> "list[tuple[str, str]]":
    return sorted(service.sources.items())


def _team(name: str) -> str:
    return "(all other teams)" if name == "default" else name


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from service.commands.table import Table, terminal_width

    table = Table(titles, rows, terminal_width())
    for line in table.header():
        click.echo(line)
    for row in rows:
        click.echo("\n".join(table.row(row)))


def _print_warnings(read: "Inspection", rules: "CheckedRules") -> None:
    from service.commands.faults import wrap

    for warning in [*_warnings(read, rules), *rules.warnings]:
        click.echo(wrap(f"warning: {warning}"), err=True)


def _warnings(read: "Inspection", rules: "CheckedRules") -> Iterator[str]:
    """Settings and rules that are valid, but probably not intended."""
    from service.settings import find_doubtful_durations, find_exposures, find_running, find_weak_secrets

    if read.settings is not None:
        services = find_running(read.settings.data_dir)
        yield from _warnings_about_services(read, services)
        if not read.settings.sources and not any(service.sources for service in services):
            yield (
                "no source is configured: every webhook is refused; set LOOPGAUGE_SOURCES__GITHUB__SECRET, for example"
            )
        yield from find_weak_secrets(read.settings)
        yield from find_exposures(read.settings)
        yield from find_doubtful_durations(
            read.settings, {each.team: each.threshold for each in _thresholds(read, rules)}
        )


def _warnings_about_services(read: "Inspection", services: "Sequence[RunningService]") -> Iterator[str]:
    """The variables of the running services that this command does not see."""
    here = {name.upper() for origin in read.origins for name in origin.variables}
    for service in services:
        unseen = [name for name in service.variables if name not in here]
        if unseen:
            yield (
                f"{service.url} was started with settings that this command does not see: {', '.join(unseen)}; run "
                "check-config with the variables of the service, or in the directory of its .env"
            )
