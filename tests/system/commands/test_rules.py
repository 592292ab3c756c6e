"""`loopgauge rules`: check a file, and try it on a delivery."""

import json
from pathlib import Path

from tests.support.builders import Issue, at
from tests.support.rules_files import BETS
from tests.support.serving import run_command


def test_a_rules_file_is_checked_and_each_error_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(BETS)
    assert run_command("rules", "check", str(file)).returncode == 0
    file.write_text(BETS.replace("label: bet", "lable: bet"))
    wrong = run_command("rules", "check", str(file))
    assert wrong.returncode == 1
    assert f"{file}:4: rules.0.when.lable: is not known here" in wrong.stderr
    served = run_command("serve", "--port", "0", RULES=str(file))
    assert (served.returncode, "lable" in served.stderr) == (1, True)
    missing = run_command("rules", "check", str(tmp_path / "nowhere.yaml"))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


def test_what_a_delivery_would_become_is_told_with_the_reason(tmp_path: Path) -> None:
    file, body = tmp_path / "rules.yaml", tmp_path / "body.json"
    file.write_text(BETS)
    body.write_bytes(Issue(created_at=at(2), labels=("bet",)).opened().body)
    header = ("--header", "X-GitHub-Event: issues")
    by_default = run_command("rules", "try", "--source", "github", *header, str(body))
    assert by_default.stdout.startswith("ignored: no label `experiment`; labels were bet\n")
    tried = run_command("rules", "try", "--source", "github", *header, "--rules", str(file), "--json", str(body))
    shown = json.loads(tried.stdout)
    assert (shown["verdict"], shown["reason"]) == ("counted", "a bet, proposed by creation")
    [mark] = [event for event in shown["events"] if event.get("field") == "experiment"]
    assert (mark["rule"], mark["subject"]) == ("a bet", "github:acme/app#45")
    assert run_command("rules", "try", "--source", "gopher", *header, str(body)).returncode == 1
