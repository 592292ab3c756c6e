"""The command `loopgauge rules` checks a rules file, and tries it on a delivery."""

import json
from pathlib import Path

from tests.support.builders import Issue, at
from tests.support.commands import invoke
from tests.support.rules_files import BETS


def test_a_rules_file_is_checked_and_each_error_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(BETS)
    assert invoke("rules", "check", str(file)).returncode == 0
    file.write_text(BETS.replace("label: bet", "lable: bet"))
    for arguments, settings in ((["rules", "check", str(file)], {}), (["serve", "--port", "0"], {"RULES": str(file)})):
        wrong = invoke(*arguments, **settings)
        assert wrong.returncode == 1
        assert f"{file}:4:30: rule 1 'a bet', when.lable: lable is not a condition; did you mean label?" in wrong.stderr
    missing = invoke("rules", "check", str(tmp_path / "nowhere.yaml"))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


def test_the_check_of_a_rules_file_can_print_json(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("teams: {ML: ml-platform}\n")
    ended = invoke("rules", "check", "--json", str(file))
    printed = json.loads(ended.stdout)
    assert (ended.returncode, printed["file"], ended.stderr) == (0, str(file), "")
    assert printed["rules"] > 1


def test_trying_a_delivery_prints_its_events_and_the_reason(tmp_path: Path) -> None:
    file, body = tmp_path / "rules.yaml", tmp_path / "body.json"
    file.write_text(BETS)
    body.write_bytes(Issue(created_at=at(2), labels=("bet",)).opened().body)
    header = ("--header", "X-GitHub-Event: issues")
    by_default = invoke("rules", "try", "--source", "github", *header, str(body))
    assert by_default.stdout.startswith("ignored: no label `experiment`; labels were bet\n")
    tried = invoke("rules", "try", "--source", "github", *header, "--rules", str(file), "--json", str(body))
    shown = json.loads(tried.stdout)
    assert (shown["verdict"], shown["reason"]) == ("counted", "a bet, proposed by creation")
    [mark] = [event for event in shown["events"] if event.get("field") == "experiment"]
    assert (mark["rule"], mark["subject"]) == ("a bet", "github:acme/app#45")
    assert invoke("rules", "try", "--source", "gopher", *header, str(body)).returncode == 1
