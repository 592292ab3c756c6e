"""The `loopgauge` command."""

import asyncio
import json
import re
import shlex
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import click
import structlog
import uvloop

from service.lifecycle.codec import data_of, kind_of
from service.lifecycle.errors import LifecycleError
from service.logs import configure_logs
from service.metrics.terms import Window
from service.pipeline.interpret import interpret_delivery
from service.pipeline.retry import Retried, retry, retry_failed
from service.providers import PROVIDERS
from service.rules.document import WrongRules
from service.rules.model import Interpretation, Rules
from service.settings import (
    Role,
    Settings,
    WrongSetting,
    default_data_dir,
    given_settings,
    load_rules,
    parse_duration,
    parse_window,
    read_settings,
    source_name,
    spell_duration,
    unknown_settings,
)
from service.storage import inbox
from service.storage.database import Database, DatabaseError
from service.storage.embedded import EmbeddedUnavailable
from service.webhook import Delivery

if TYPE_CHECKING:
    from service.api.explanation import ExplanationAnswer

_log = structlog.get_logger(__name__)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("loopgauge"), prog_name="loopgauge")
def main() -> None:
    """How long it takes from "I want to try something" to knowing whether it worked.

    Settings are environment variables with the prefix LOOPGAUGE_; see the README.
    """
    configure_logs("warning")


@main.command()
@click.option("--host", help="Address to listen on; 127.0.0.1 if not set.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 8080 if not set.")
@click.option("--role", type=click.Choice(["all", "api", "worker"]), help="What this process does; all if not set.")
def serve(host: str | None, port: int | None, role: Role | None) -> None:
    """Run the service."""
    settings = _settings(host=host, port=port, role=role)
    configure_logs(settings.log_level)
    for line in unknown_settings(given_settings()):
        _log.warning(line)
    from service.server import run_service

    choices = "--host and --port, or LOOPGAUGE_HOST and LOOPGAUGE_PORT"
    _run(run_service(settings, _rules(settings), _listen(settings, choices)))


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option("--weeks", type=click.IntRange(1, 104), default=26, show_default=True, help="How long a past to post.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same one gives the same past.")
@click.option(
    "--pace",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    help="Hours of the organisation's life that pass in a second once the demo is live; 0 to stop after the past.",
)
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="A directory for the demo alone.")
@click.option(
    "--prometheus/--no-prometheus",
    "observed",
    default=True,
    show_default=True,
    help="Start a Prometheus, if installed, that has the past and scrapes the demo.",
)
def demo(port: int, weeks: int, seed: int, pace: float, data_dir: Path | None, observed: bool) -> None:
    """Run the service beside a simulated organisation, which posts what its tools would.

    First comes the past of seven teams, then it goes on live. The demo has a directory, a database and a Prometheus of
    its own, which it makes anew at each start; your settings do not apply.
    """
    from service.demo.directory import NotOurs
    from service.demo.sending import NotTaken
    from service.demonstration import HASTY, Demonstration, demo_directory, demo_settings
    from service.server import run_service

    shown = Demonstration(timedelta(weeks=weeks), seed, pace, _own_command(), observed, click.echo, _progress)
    try:
        with demo_directory((data_dir or default_data_dir("loopgauge-demo")).absolute()) as directory:
            settings = demo_settings(directory, port)
            listening = _listen(settings, "--port, or with make demo PORT=8081")
            _run(run_service(settings, _rules(settings), listening, shown.visit(settings, listening), HASTY))
    except OSError as error:
        _fail(f"the demo cannot use {error.filename}: {error.strerror}; choose another directory with --data-dir")
    except (NotOurs, NotTaken) as error:
        _fail(str(error))


def _own_command() -> str:
    """What this command was started as, so that examples can be copied."""
    started = sys.argv[0]
    return shlex.join([started] if Path(started).name == "loopgauge" else [sys.executable, "-m", "service"])


def _listen(settings: Settings, choices: str) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        _fail(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            f"choose another with {choices}"
        )


@main.command()
def migrate() -> None:
    """Bring the database's schema to this version's."""
    _run(_migrate(_settings()))


async def _migrate(settings: Settings) -> None:
    from service.app import open_database

    async with open_database(settings) as database:
        click.echo(f"the schema is at revision {await database.migrate()}")


@main.group()
def deliveries() -> None:
    """The inbox: what was delivered, and what became of it."""


_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@deliveries.command("list")
@click.option("--source", help="Only of this source.")
@click.option("--verdict", type=click.Choice(["pending", "counted", "ignored", "failed"]), help="Only of this verdict.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@_AS_JSON
def list_deliveries(source: str | None, verdict: str | None, limit: int, as_json: bool) -> None:
    """Deliveries, newest first, each with its verdict and the reason."""
    _run(_list_deliveries(_settings(), source, verdict, limit, as_json))


async def _list_deliveries(
    settings: Settings, source: str | None, verdict: str | None, limit: int, as_json: bool
) -> None:
    from service.api.deliveries import brief
    from service.app import open_database

    async with open_database(settings) as database, database.transaction() as connection:
        rows, _ = await inbox.page(
            connection, source=source_name(source) if source else None, verdict=verdict, limit=limit
        )
    if as_json:
        click.echo(json.dumps([brief(row).model_dump(mode="json") for row in rows], indent=2))
        return
    for row in rows:
        received = row.received_at.strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"{received}  {row.source}  {row.verdict or 'pending':8}  {row.id}  {row.reason or ''}")
    if not rows:
        click.echo("no deliveries", err=True)


@deliveries.command("show")
@click.argument("delivery", type=click.UUID)
@_AS_JSON
def show_delivery(delivery: UUID, as_json: bool) -> None:
    """One delivery, with its headers and body."""
    _run(_show_delivery(_settings(), delivery, as_json))


async def _show_delivery(settings: Settings, delivery: UUID, as_json: bool) -> None:
    from service.api.deliveries import whole
    from service.app import open_database

    async with open_database(settings) as database, database.transaction() as connection:
        found = await inbox.find(connection, delivery)
    if found is None:
        _fail(f"there is no delivery {delivery}")
    shown = whole(*found).model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    if found[2] is None:
        kept = spell_duration(settings.raw_retention)
        shown["body"] = f"not kept any more: LOOPGAUGE_RAW_RETENTION was over ({kept} by the settings of this command)"
    for name, value in shown.items():
        click.echo(f"{name:15} {value}")


@deliveries.command("retry")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=click.UUID)
@click.option("--failed", is_flag=True, help="All that failed, instead of those that are named.")
@click.option("--source", help="With --failed: only of this source.")
@click.option("--since", type=_TIME, help="With --failed: only those received since then, UTC.")
@_AS_JSON
def retry_deliveries(
    ids: tuple[UUID, ...], failed: bool, source: str | None, since: datetime | None, as_json: bool
) -> None:
    """Have failed deliveries interpreted again by a worker, under today's rules."""
    if bool(ids) == failed:
        raise click.UsageError("name the deliveries by their ids, or give --failed")
    if (source or since) and not failed:
        raise click.UsageError("--source and --since narrow --failed down")
    received = _in_utc(since)
    _run(_retry(_settings(), list(dict.fromkeys(ids)), source_name(source) if source else None, received, as_json))


def _in_utc(written: datetime | None) -> datetime | None:
    """A time that was given; one without an offset is UTC."""
    if written is None:
        return None
    return written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)


async def _retry(
    settings: Settings, ids: list[UUID], source: str | None, since: datetime | None, as_json: bool
) -> None:
    from service.app import open_database

    retried = []
    async with open_database(settings) as database:
        async for one in _retrying(database, ids, source, since):
            retried.append(one)
            if not as_json:
                click.echo(f"{one.delivery}  {one.status:7}  {one.detail}")
    count = sum(one.status == "retried" for one in retried)
    if as_json:
        told = [{"id": str(one.delivery), "status": one.status, "detail": one.detail} for one in retried]
        click.echo(json.dumps({"retried": count, "deliveries": told}, indent=2))
    else:
        click.echo(f"{count} of {len(retried)} deliveries retried")
    if retried and all(one.status in ("refused", "unknown") for one in retried):
        sys.exit(1)


async def _retrying(
    database: Database, ids: list[UUID], source: str | None, since: datetime | None
) -> AsyncIterator[Retried]:
    if not ids:
        async for one in retry_failed(database, source, since):
            yield one
    for one in await retry(database, ids):
        yield one


@main.command()
@click.argument("reference")
@_AS_JSON
def explain(reference: str, as_json: bool) -> None:
    """One experiment, by id or any of its references: every event, its clock, source and rule, and its figures."""
    _run(_explain(_settings(), reference, as_json))


async def _explain(settings: Settings, reference: str, as_json: bool) -> None:
    from service.api.explanation import answer
    from service.app import figure_terms, open_database, utc_now
    from service.pipeline.explain import explain as explain_subject
    from service.pipeline.explain import find_subject

    async with open_database(settings) as database:
        subject = await find_subject(database, reference)
        explanation = await explain_subject(database, subject, figure_terms(settings, load_rules(settings)), utc_now())
    shown = answer(explanation)
    click.echo(shown.model_dump_json(indent=2) if as_json else _explanation(shown))


def _explanation(shown: "ExplanationAnswer") -> str:
    known = shown.experiment.model_dump(mode="json", exclude={"root", "again", "stages"}) if shown.experiment else {}
    told = {name: value["words"] if isinstance(value, dict) else value for name, value in known.items()}
    lines = [shown.subject, *(f"  {name:17} {value}" for name, value in told.items() if value not in (None, ""))]
    for again in shown.experiment.again if shown.experiment else ():
        before = "after it was concluded" if again.concluded else f"quiet for {again.quiet.words}"
        lines.append(f"  taken up again    {again.at:%Y-%m-%d %H:%M:%S}, {before}")
    if shown.why_not:
        since = f", since {shown.excluded.since:%Y-%m-%d %H:%M:%S}" if shown.excluded else ""
        lines.append(f"  no experiment: {shown.why_not}{since}")
    lines += ["", "events (those in brackets do not count for it)"]
    for event in shown.events:
        said = " ".join([event.kind, *(f"{name}={value}" for name, value in event.data.items())])
        when = event.occurred_at.strftime("%Y-%m-%d %H:%M:%S")
        lines.append(f"  {when}  {event.subject}  {said if event.counts else f'({said})'}")
        for origin in event.origins:
            received = origin.received_at.strftime("%Y-%m-%d %H:%M:%S")
            lines.append(f"    {origin.rule}; {origin.source} {origin.delivery}, received {received}")
    stages = shown.experiment.stages if shown.experiment else {}
    if stages:
        lines += ["", "stages"]
    lines += [f"  {stage:17} {taken.words}" for stage, taken in stages.items()]
    lines += [f"  left out: {one.stage or 'everything'} ({one.reason})" for one in shown.left_out]
    if shown.figures:
        lines += ["", "counts in"]
    for figure in shown.figures:
        labels = ", ".join(f'{name}="{value}"' for name, value in figure.labels.items())
        lines.append(f"  {figure.metric}{{{labels}}}")
    return "\n".join(lines)


@main.command()
@click.option("--since", type=_TIME, help="Only deliveries received since then, UTC.")
@click.option("--dry-run", is_flag=True, help="Change nothing; tell what would change.")
@_AS_JSON
def replay(since: datetime | None, dry_run: bool, as_json: bool) -> None:
    """Interpret stored deliveries again under today's rules, and print which figures changed."""
    settings = _settings()
    _run(_replay(settings, _rules(settings), since, dry_run=dry_run, as_json=as_json))


async def _replay(settings: Settings, rules: Rules, since: datetime | None, *, dry_run: bool, as_json: bool) -> None:
    from service.app import figure_terms, open_database, utc_now
    from service.pipeline.replay import Replay

    with _progress("replaying") as progress:
        again = Replay(rules, figure_terms(settings, rules), utc_now, progress)
        async with open_database(settings) as database:
            work = again.rehearse if dry_run else again.run
            replayed = await work(database, _in_utc(since))
    if as_json:
        changed = {name: {"from": before, "to": after} for name, (before, after) in replayed.changed.items()}
        click.echo(json.dumps({"deliveries": replayed.deliveries, "changed": changed}, indent=2))
        return
    for name, (before, after) in replayed.changed.items():
        click.echo(f"{name}: {_figure(before)} -> {_figure(after)}")
    would = "would change" if dry_run else "changed"
    click.echo(f"{replayed.deliveries} deliveries replayed, {len(replayed.changed)} figures {would}")


def _duration(_context: click.Context, _option: click.Parameter, written: str) -> object:
    try:
        return parse_duration(written)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _window(_context: click.Context, _option: click.Parameter, written: str) -> timedelta:
    try:
        return parse_window(written)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _labels(_context: click.Context, _option: click.Parameter, written: Sequence[str]) -> Mapping[str, str]:
    """Labels that were given, by name; of one that was given twice the last."""
    labels = {}
    for one in written:
        label = _LABEL.fullmatch(one)
        if label is None:
            raise click.BadParameter(f"expected a label such as job=loopgauge, got {one!r}")
        labels[label["name"]] = label["value"]
    return labels


# Labels that begin with two underscores are Prometheus' own.
_LABEL = re.compile(r"(?P<name>(?!__)[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)


@main.command()
@click.option("--team", default="_org", help="One team; the organisation if not set.")
@click.option("--window", callback=_window, default="90d", show_default=True, help="How far back from now.")
@_AS_JSON
def scorecard(team: str, window: timedelta, as_json: bool) -> None:
    """The four questions, for the organisation or for one team."""
    settings = _settings()
    _run(_scorecard(settings, _rules(settings), team, window, as_json))


async def _scorecard(settings: Settings, rules: Rules, team: str, window: timedelta, as_json: bool) -> None:
    from service.app import figure_terms, open_database, utc_now
    from service.pipeline.compile import Scorecards, UnknownTeam
    from service.terminal.scorecard import table

    async with open_database(settings) as database:
        scorecards = Scorecards(database, figure_terms(settings, rules), utc_now, timedelta(0))
        try:
            card = await scorecards.scorecard(team, Window(spell_duration(window), window))
        except UnknownTeam as error:
            _fail(str(error))
    click.echo(card.model_dump_json(indent=2) if as_json else table(card, shutil.get_terminal_size().columns))


@main.command("export-history")
@click.option(
    "--since", type=_TIME, help="The earliest moment, UTC; if not set, the first idea within the widest window."
)
@click.option(
    "--until",
    type=_TIME,
    help="The latest moment, UTC, such as the first scrape; if not set, and at the most, three hours ago.",
)
@click.option("--step", callback=_duration, default="1d", show_default=True, help="How far the moments are apart.")
@click.option(
    "--label",
    "labels",
    callback=_labels,
    multiple=True,
    metavar="NAME=VALUE",
    help="A label that scraping gives to every series; repeatable, and none where VALUE is empty. "
    "Those of job=loopgauge and instance=<host>:<port> are given if not set.",
)
@click.option(
    "--output", type=click.File("wb", lazy=True), default="-", help="The file to write; standard output if not set."
)
def export_history(
    since: datetime | None,
    until: datetime | None,
    step: timedelta,
    labels: Mapping[str, str],
    output: IO[bytes],
) -> None:
    """Write the figures of the past, from what is known now, for `promtool tsdb create-blocks-from openmetrics`.

    The moments are multiples of the step, such as midnights UTC. Tell of the time before Prometheus' first scrape, and
    of nothing twice.
    """
    settings = _settings()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scraped = {"job": "loopgauge", "instance": f"{host}:{settings.port}", **labels}
    since, until = _in_utc(since), _in_utc(until)
    if since and until and since > until:
        raise click.UsageError("--since is after --until; give an earlier --since, or a later --until")
    _run(_export_history(settings, _rules(settings), (since, until), step, scraped, output))


async def _export_history(
    settings: Settings,
    rules: Rules,
    span: tuple[datetime | None, datetime | None],
    step: timedelta,
    labels: Mapping[str, str],
    output: IO[bytes],
) -> None:
    from service.app import figure_terms, open_database, utc_now
    from service.pipeline.export import Export, TakenLabel, earliest, moments, read_known

    async with open_database(settings) as database:
        known = await read_known(database)
    now, terms = utc_now(), figure_terms(settings, rules)
    since, until = span
    told = moments(since or earliest(known, terms, now), until or now, step, now)
    try:
        with output, _progress("exporting") as progress:
            output.writelines(Export(terms, labels, progress).write(known, told))
            output.flush()
    except TakenLabel as error:
        raise click.UsageError(f"{error}; choose another --label") from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        _fail(f"cannot write the history: {error.strerror or error}")
    click.echo(_exported(told), err=True)


def _exported(told: Sequence[datetime]) -> str:
    if not told:
        return (
            "no moment to tell of: no multiple of the step lies between the beginning and the end, "
            "which is --until and three hours ago at the most"
        )
    return f"{len(told)} moments from {told[0]:%Y-%m-%d %H:%M:%S} to {told[-1]:%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how much is done, and of how much; say nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield progress


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


@main.group()
def rules() -> None:
    """The rules that say what deliveries mean."""


@rules.command("check")
@click.argument("file", type=click.Path(path_type=Path))
def check_rules(file: Path) -> None:
    """Validate a rules file; each error carries file, line and path."""
    read = _rules(_settings(rules=file))
    named = {rule.name for of_kind in read.by_kind.values() for rule in of_kind}
    click.echo(f"{file}: {len(named)} rules, those that it extends included")


@rules.command("try")
@click.option("--source", required=True, help="The source, or a provider.")
@click.option("--header", "header_lines", multiple=True, metavar="'K: V'", help="A header of the delivery; repeatable.")
@click.option("--rules", "file", type=click.Path(path_type=Path), help="A rules file; LOOPGAUGE_RULES if not set.")
@click.argument("body", type=click.File("rb"))
@_AS_JSON
def try_rules(source: str, header_lines: tuple[str, ...], file: Path | None, body: IO[bytes], as_json: bool) -> None:
    """What a delivery would become, and why."""
    settings = _settings(rules=file)
    name = source_name(source)
    provider = settings.sources[name].provider if name in settings.sources else name
    if provider not in PROVIDERS:
        _fail(f"{source} is neither a source nor a provider; providers are {', '.join(PROVIDERS)}")
    if wrong := [line for line in header_lines if ":" not in line]:
        _fail(f"expected a header such as 'X-GitHub-Event: issues', got {wrong[0]!r}")
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in header_lines)}
    delivery = Delivery(name, provider, "", headers, body.read(), datetime.now(UTC))
    shown = _interpretation(interpret_delivery(_rules(settings), delivery))
    click.echo(json.dumps(shown, indent=2) if as_json else _in_lines(shown))


def _interpretation(found: Interpretation) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "reason": found.reason,
        "events": [
            {
                "subject": said.event.subject,
                "kind": kind_of(said.event),
                "occurred_at": said.event.occurred_at.isoformat(),
                **data_of(said.event),
                "rule": said.rule,
            }
            for said in found.statements
        ],
        "links": [
            {"evidence": link.evidence, "channel": link.channel, "serves": sorted(link.targets)} for link in found.links
        ],
        "renamed": [{"old": alias.old, "new": alias.new} for alias in found.aliases],
    }


def _in_lines(shown: Mapping[str, Any]) -> str:
    lines = [f"{shown['verdict']}: {shown['reason']}"]
    for group in ("events", "links", "renamed"):
        said = (" ".join(f"{name}={value}" for name, value in one.items()) for one in shown[group])
        lines += [f"  {group.removesuffix('s'):7} {one}" for one in said]
    return "\n".join(lines)


def _settings(**given: Any) -> Settings:
    try:
        return read_settings(**given)
    except WrongSetting as error:
        _fail(str(error))


def _rules(settings: Settings) -> Rules:
    try:
        return load_rules(settings)
    except WrongRules as error:
        _fail(str(error))


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except asyncio.CancelledError:
        # Asked to end while it was starting.
        return
    except (DatabaseError, EmbeddedUnavailable, LifecycleError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"loopgauge: {message}", err=True)
    sys.exit(1)
