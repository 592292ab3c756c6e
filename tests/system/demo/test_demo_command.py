"""`loopgauge demo` in a real process."""

import re
import shlex
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from service.demo.organisation import TEAMS
from service.storage.embedded import EmbeddedServer
from tests.support.demo import demo, lines_until
from tests.support.prometheus import Prometheus, free_port, tool
from tests.support.road import parse_samples
from tests.support.waiting import PATIENCE_SECONDS, wait_for


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that PostgreSQL's system user may enter; pytest may forbid that for the parents of `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="loopgauge-demo-") as made:
        yield Path(made)


def test_the_demo_posts_a_past_prints_a_guide_and_continues_live(home: Path) -> None:
    directory = home / "demo"
    # This `PATH` contains no Prometheus.
    with demo(directory, "--pace", "20", "--prometheus", path="/nowhere") as process:
        lines = lines_until(process, "Live: 20 h")
        assert lines[0].startswith(f"The demo runs in {directory}, and serves on http://127.0.0.1:")
        del lines[: 1 + _printed_progress(lines[1:])]
        assert re.match(r"Posted 2 weeks of 7 teams: \d+ deliveries, \d+ of them twice\.", lines[0])
        assert re.match(r"1 was refused for its signature\. The metrics were ready after \d+ s\.", lines[1])
        missing = "promtool and prometheus not on the PATH; on Debian and Ubuntu, run apt install prometheus"
        assert lines[2] == f"Prometheus does not run: {missing}."
        noticed = [line.split()[0] for line in lines if re.match(r"  [a-z]+ +(?!loopgauge)[a-z].*: ", line)]
        assert set(noticed) >= {team.name for team in TEAMS}
        [url] = {found[0] for line in lines if (found := re.findall(r"http://127\.0\.0\.1:\d+", line))}
        shown = parse_samples(httpx.get(f"{url}/metrics", timeout=PATIENCE_SECONDS).text)
        assert shown["inbox_failed",] == shown["projection_pending",] == 0
        assert shown["threshold_seconds", "search"] == 7 * 86_400
        _examples_work(lines, home)
        _something_more_is_posted(url, shown["deliveries_total", "stored", "github"])
        process.send_signal(signal.SIGINT)
        _, logged = process.communicate(timeout=PATIENCE_SECONDS)
        assert (process.returncode, logged) == (0, "")
    assert not (directory / "postgres" / "postmaster.pid").exists()
    assert not (directory / "theirs").exists()


def _printed_progress(lines: Sequence[str]) -> int:
    """Check the lines about progress, which the demo prints if its output is not a terminal, and count them."""
    progress = [re.fullmatch(r"posting and processing the past: (\d+) %", line) for line in lines]
    percents = [int(found[1]) for found in takewhile(bool, progress) if found]
    assert percents == sorted(set(percents))
    assert (percents[0], percents[-1]) == (0, 100)
    assert len(percents) > 4
    return len(percents)


def _examples_work(lines: Sequence[str], directory: Path) -> None:
    """Run each command of the guide."""
    exported = "; ".join(line.strip() for line in lines if line.startswith("  export "))
    typed = [line.strip() for line in lines if re.match(r"  curl | .* (explain|list|export-history) ", line)]
    assert len(typed) == 5
    for line in typed:
        ended = subprocess.run(
            ["bash", "-c", f"{exported}; {line}"],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, shlex.quote(line) + ended.stderr
        assert ended.stdout or "--output" in line, line
    assert 'team="frontier"' in (directory / "history.om").read_text()


def _something_more_is_posted(url: str, before: float) -> None:
    def posted() -> bool:
        shown = parse_samples(httpx.get(f"{url}/metrics", timeout=PATIENCE_SECONDS).text)
        return shown["deliveries_total", "stored", "github"] > before

    wait_for(posted, "further delivery")


def test_prometheus_has_the_past_and_ends_with_the_demo_even_after_a_kill(home: Path) -> None:
    for name in ("promtool", "prometheus"):
        tool(name)
    port = free_port()
    with demo(home, "--weeks", "4", "--prometheus", "--prometheus-port", str(port)) as process:
        lines = lines_until(process, "What to notice")
        observer = f"http://127.0.0.1:{port}"
        assert any(line.startswith(f"Prometheus at {observer}/ had") for line in lines)
        (url,) = {found[0] for line in lines if (found := re.findall(r"http://(\S+)/metrics ", line))}
        prometheus = Prometheus(observer)
        _four_weeks_are_there_under_the_labels_of_the_scrape(prometheus, url)
        graphs = [line.strip() for line in lines if "?g0.expr=" in line]
        assert len(graphs) == 3
        for graph in graphs:
            assert graph.startswith(f"{observer}/")
            assert _shown(prometheus, graph), graph
        links = {link for line in lines for link in re.findall(r"http://127\.0\.0\.1:\d+/[^\s']*", line)}
        assert links > {*graphs, f"http://{url}/", f"http://{url}/docs"}
        assert [link for link in links if link.endswith("/alerts")]
        for link in links:
            assert _opens(link), link
        # Prometheus also evaluates the rules, because the demo runs in a checkout, which contains them.
        assert prometheus.until('team:loopgauge_threshold_seconds:max10m{team="payments"}')
        process.kill()
        process.wait(PATIENCE_SECONDS)
        wait_for(lambda: _refuses(observer), f"end of {observer}")
    left_behind = EmbeddedServer(home)
    left_behind.start()
    left_behind.release()


def _four_weeks_are_there_under_the_labels_of_the_scrape(prometheus: Prometheus, target: str) -> None:
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    asked = 'loopgauge_experiments_concluded{team="search",window="90d",outcome="worked"}'
    prometheus.until(asked)
    ((labels, past),) = prometheus.past(asked, midnight - timedelta(days=27), midnight - timedelta(days=1))
    assert len(past) >= 20
    assert max(past.values()) > min(past.values())
    assert (labels["instance"], labels["job"]) == (target, "loopgauge")
    # The scraped samples continue the imported series.
    assert prometheus.series(asked, midnight - timedelta(days=27), now) == [labels]


def _shown(prometheus: Prometheus, graph: str) -> bool:
    """Whether the graph behind a link has values for more than five past days."""
    asked = parse_qs(urlsplit(graph).query)
    now = datetime.now(UTC)
    shown = prometheus.past(asked["g0.expr"][0], now - timedelta(days=20), now - timedelta(days=1))
    return max((len(values) for _, values in shown), default=0) > 5


def _opens(link: str) -> bool:
    return httpx.get(link, timeout=PATIENCE_SECONDS, follow_redirects=True).status_code == 200


def _refuses(url: str) -> bool:
    try:
        httpx.get(url, timeout=PATIENCE_SECONDS)
    except httpx.TransportError:
        return True
    return False


def test_a_port_in_use_is_refused_with_a_suggestion(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, demo(home, "--port", str(taken.getsockname()[1])) as process:
        said, logged = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, said) == (1, "")
    assert logged.endswith("choose another address with --port, or with make demo PORT=8081\n")


def test_a_prometheus_port_in_use_is_refused_before_the_past_is_posted(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = ["--prometheus", "--prometheus-port", str(taken.getsockname()[1])]
        with demo(home, *options) as process:
            said, logged = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, said) == (1, "")
    assert re.match(r"loopgauge: Prometheus cannot listen on 127\.0\.0\.1:\d+: Address already in use; ", logged)
    assert logged.endswith("choose another port with --prometheus-port, or with make demo PROMETHEUS_PORT=9091\n")


def test_two_demos_run_side_by_side_in_directories_of_their_own(home: Path) -> None:
    with demo(home / "one") as first, demo(home / "two") as second:
        _wait_for(home / "one" / "spool", first)
        _wait_for(home / "two" / "spool", second)
        with demo(home / "one") as third:
            said, logged = third.communicate(timeout=PATIENCE_SECONDS)
        assert (third.returncode, said) == (1, "")
        assert logged.startswith(f"loopgauge: a demo already runs in {home / 'one'}; to run another one, choose")
        assert logged.endswith("or run make demo DATA_DIR=directory PORT=8081\n")
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0


def test_the_demo_starts_anew_after_a_kill_and_ends_while_it_posts_the_past(home: Path) -> None:
    with demo(home) as process:
        _wait_for(home / "postgres" / "postmaster.pid", process)
        process.kill()
        process.wait(PATIENCE_SECONDS)
    with demo(home) as process:
        _wait_for(home / "spool", process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
    assert not (home / "postgres" / "postmaster.pid").exists()


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    def exists() -> bool:
        assert process.poll() is None
        return path.exists()

    wait_for(exists, str(path))


def test_a_directory_with_other_files_is_refused_in_one_line(home: Path) -> None:
    (home / "thesis.txt").write_text("years of work")
    with demo(home) as process:
        said, logged = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, said) == (1, "")
    assert (
        logged
        == f"loopgauge: {home} contains files that are not the demo's; choose an empty directory with --data-dir, "
        "or with make demo DATA_DIR=directory\n"
    )
    assert {entry.name for entry in home.iterdir()} == {"thesis.txt"}
