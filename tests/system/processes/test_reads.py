"""A service on loopback makes a read token at its first start, as Jupyter does."""

import json
import re
import signal
from pathlib import Path

import httpx

from tests.support.serving import opened, run_command, serving
from tests.support.waiting import PATIENCE_SECONDS


def _logged(directory: Path) -> list[str]:
    return [line for log in sorted(directory.glob("log-*")) for line in log.read_text().splitlines()]


def _links(lines: list[str]) -> list[str]:
    return [entry["link"] for line in lines if "link" in (entry := json.loads(line))]


def test_the_first_start_prints_a_link_that_signs_a_browser_in_and_no_other_line_has_the_token(
    database_url: str, tmp_path: Path
) -> None:
    for _ in range(2):
        with serving(database_url, tmp_path, LOG_LEVEL="debug") as service:
            [link] = _links(_logged(tmp_path))
            token = service.token
            with httpx.Client(timeout=PATIENCE_SECONDS) as browser:
                printed = link.replace(link.partition("/sign-in")[0], service.url)
                assert browser.get(f"{service.url}/deliveries").status_code == 401
                home = browser.get(printed, follow_redirects=True)
                assert (str(home.url), home.status_code) == (f"{service.url}/", 200)
                assert browser.get(f"{service.url}/deliveries").status_code == 200
                assert browser.get(f"{service.url}/sign-in?token=wrong").status_code == 401
                assert browser.put(printed).status_code == 405
            service.post(opened())
            assert service.end(signal.SIGTERM) == 0
    with_token = [line for line in _logged(tmp_path) if token in line]
    assert _links(with_token) == [link]
    assert len(with_token) == 1
    assert link.endswith(f"/sign-in?token={token}")


def test_commands_on_this_machine_use_the_token_by_themselves(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as service:
        where = {"URL": service.url, "DATA_DIR": str(tmp_path / "data")}
        allowed = run_command("deliveries", "list", **where)
        elsewhere = run_command("deliveries", "list", **{**where, "DATA_DIR": str(tmp_path / "other")})
        with_file = run_command("deliveries", "list", URL=service.url, TOKEN=f"@{tmp_path}/data/read-token")
        wrong = run_command("deliveries", "list", **where, TOKEN="wrong")
        printed = [
            run_command("sign-in", *options, DATA_DIR=where["DATA_DIR"], PORT="9000") for options in ([], ["--token"])
        ]
    assert [ended.returncode for ended in (allowed, with_file, elsewhere, wrong)] == [0, 0, 1, 1]
    assert "loopgauge sign-in --token prints its read token" in " ".join(elsewhere.stderr.split())
    assert [ended.stdout.strip() for ended in printed] == [
        f"{service.url}/sign-in?token={service.token}",
        service.token,
    ]
    assert {ended.stderr for ended in printed} == {""}
    later = run_command("sign-in", DATA_DIR=where["DATA_DIR"], PORT="9000")
    assert later.stdout.startswith("http://127.0.0.1:9000/sign-in?token=")
    assert later.stderr == f"note: no service runs with {where['DATA_DIR']}, so the address comes from the settings\n"


def test_a_token_that_other_users_can_read_closes_the_reads(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "data" / "read-token"
    file.parent.mkdir()
    file.write_text("a token that others know")
    file.chmod(0o644)
    with serving(database_url, tmp_path) as service:
        assert httpx.get(f"{service.url}/deliveries").status_code == 403
        assert service.get("/deliveries").status_code == 403
        assert service.post(opened()).status_code == 202
    assert any(re.search("reads are closed: other users can open .*read-token", line) for line in _logged(tmp_path))


def test_open_reads_are_a_setting(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, OPEN_READS="true") as service:
        assert httpx.get(f"{service.url}/deliveries").status_code == 200
        assert httpx.get(f"{service.url}/deliveries", headers={"host": "rebound.example.com"}).status_code == 403
        assert service.token == ""
