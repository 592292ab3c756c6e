"""The command `loopgauge rules` checks a rules file, and tries it on a delivery."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import get_args
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from service.cli import main
from service.commands.faults import manual, wrap
from service.deliveries.observation import Kind
from service.lifecycle import teams
from service.providers import PROVIDERS
from service.rules.faults import Fault, InvalidRules
from service.rules.reader import read_rules
from service.settings import packaged_rules, read_rules_file
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
    assert (printed["own"], printed["packaged"]) == (1, _packaged())
    assert printed["rules"] == 1 + _packaged()


def _packaged() -> int:
    """The number of packaged rules."""
    by_kind = read_rules(None, packaged_rules(), PROVIDERS).by_kind
    return len({rule.name for of_kind in by_kind.values() for rule in of_kind})


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (BETS, "2 rules of its own, and {} packaged rules that it extends"),
        ("teams: {ML: ml, WEB: web}\n", "2 rules of its own, and {} packaged rules that it extends"),
        ("rules: [{when: {label: bet}, then: started}]", "1 rule of its own, and {} packaged rules that it extends"),
        ("", "0 rules of its own, and {} packaged rules that it extends"),
        (f"extends: none\n{BETS}", "2 rules of its own; it does not extend the packaged rules"),
    ],
)
def test_the_check_counts_own_and_packaged_rules_separately(tmp_path: Path, text: str, counts: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    assert invoke("rules", "check", str(file)).stdout == f"{file}: {counts.format(_packaged())}\n"


def test_the_check_of_an_invalid_file_lists_every_fault_and_ends_with_the_reference(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(BETS.replace("label: bet", "lable: bet").replace("experiment: true", "outcome: faild"))
    ended = invoke("rules", "check", str(file))
    assert (ended.returncode, ended.stdout) == (1, "")
    outcomes = "worked, failed, inconclusive, abandoned, got 'faild'; did you mean failed?"
    assert ended.stderr.splitlines() == [
        "loopgauge: the rules file has 2 faults",
        f"{file}:4:30: rule 1 'a bet', when.lable: lable is not a condition; did you mean label?",
        f"{file}:5:31: rule 1 'a bet', then.declare.outcome: expected one of {outcomes}",
        "docs/rules.md describes rules files",
    ]


def test_the_check_of_an_invalid_file_can_print_json(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("extends: none\nteams:\n  a: _org\n")
    ended = invoke("rules", "check", "--json", str(file))
    message = f"expected {teams.EXPECTED}, got '_org'"
    assert (ended.returncode, ended.stderr) == (1, "")
    assert json.loads(ended.stdout) == {
        "file": str(file),
        "rules": None,
        "own": None,
        "packaged": None,
        "faults": [{"file": str(file), "line": 3, "column": 6, "path": "teams.a", "message": message}],
        "warnings": [],
        "reference": "docs/rules.md",
    }


def test_faults_fit_into_a_terminal_of_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    line = str(Fault("rules.yaml", 4, 30, "rule 1 'a bet', when.kind", f"expected one of {', '.join(get_args(Kind))}"))
    assert wrap(line) == line
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    wrapped = wrap(line).splitlines()
    assert max(map(len, wrapped)) <= 80
    assert all(rest.startswith("    ") for rest in wrapped[1:])
    assert " ".join(part.strip() for part in wrapped) == line


def test_only_the_first_faults_of_a_very_wrong_file_are_printed(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("".join(f"wrong{n}: x\n" for n in range(60)))
    printed = invoke("rules", "check", str(file)).stderr.splitlines()
    assert len(printed) == 53
    assert printed[-2:] == ["and 10 more faults; --json lists all", "docs/rules.md describes rules files"]
    assert len(json.loads(invoke("rules", "check", "--json", str(file)).stdout)["faults"]) == 60


def test_warnings_about_a_valid_file_are_printed_and_the_file_passes(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(BETS + "  - name: a bet\n    when: {label: wager}\n    then: {declare: {experiment: true}}\n")
    ended = invoke("rules", "check", str(file))
    assert ended.returncode == 0
    assert ended.stderr.startswith(f"warning: {file}:6:11: rule 2 'a bet', name: rule 1 has this name too; ")
    [warning] = json.loads(invoke("rules", "check", "--json", str(file)).stdout)["warnings"]
    assert (warning["line"], warning["path"]) == (6, "rule 2 'a bet', name")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bet.yaml", None, "there is no such file; did you mean bets.yaml?"),
        ("bets.yaml", b"teams:\n  a: \xff\n", "bets.yaml:2:6: the file is not UTF-8; save it as UTF-8"),
        (".", None, "expected a file, got a directory; name a file in it"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_remedy(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    (tmp_path / "bets.yaml").write_bytes(content or b"")
    ended = invoke("rules", "check", str(tmp_path / name))
    assert ended.returncode == 1
    assert message in ended.stderr


def test_a_file_without_permission_to_read_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The user root may read every file, so raise the error as the system does for other users.
    monkeypatch.setattr(Path, "read_text", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(InvalidRules, match=r"^rules\.yaml: this user may not read the file; change its owner or its"):
        read_rules_file(Path("rules.yaml"))


def _try(tmp_path: Path, *arguments: str, labels: tuple[str, ...] = ("bet",)) -> CompletedProcess[str]:
    (tmp_path / "rules.yaml").write_text(BETS)
    body = tmp_path / "body.json"
    body.write_bytes(Issue(created_at=at(2), labels=labels).opened().body)
    return invoke("rules", "try", "--source", "github", "--header", "X-GitHub-Event: issues", *arguments, str(body))


def test_trying_a_delivery_that_counts_prints_its_events_and_the_reason(tmp_path: Path) -> None:
    tried = _try(tmp_path, "--rules", str(tmp_path / "rules.yaml"), "--json")
    shown = json.loads(tried.stdout)
    assert (tried.returncode, shown["verdict"], shown["reason"]) == (0, "counted", "a bet, proposed by creation")
    [mark] = [event for event in shown["events"] if event.get("field") == "experiment"]
    assert (mark["rule"], mark["subject"]) == ("a bet", "github:acme/app#45")
    assert shown["nearest"] == []


def test_trying_a_delivery_prints_in_words_what_it_would_state(tmp_path: Path) -> None:
    tried = _try(tmp_path, labels=("experiment", "outcome:failed"))
    lines = tried.stdout.splitlines()
    about = "  would state about github:acme/app#45: "
    assert any(line.startswith(f"{about}outcome failed, by label outcome:failed (rule `") for line in lines)
    assert f"{about}proposed (rule `proposed by creation`)" in lines
    assert "=" not in "".join(line for line in lines[1:] if "url" not in line)


def test_the_lines_of_a_tried_delivery_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_bytes(Issue(created_at=at(2), title="word " * 60).opened().body)
    monkeypatch.setattr("service.commands.table.terminal_width", lambda: 80)
    arguments = [
        "rules",
        "try",
        "--source",
        "github",
        "--header",
        "X-GitHub-Event: issues",
        str(tmp_path / "body.json"),
    ]
    tried = CliRunner().invoke(main, arguments)
    assert max(map(len, tried.stdout.splitlines())) <= 80
    assert "word word" in tried.stdout


def test_a_missing_header_is_answered_with_the_option_that_adds_it(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text("{}")
    tried = invoke("rules", "try", "--source", "github", str(body))
    assert tried.stdout.startswith("failed: header X-GitHub-Event is missing; give --header 'X-GitHub-Event: issues'")


def test_trying_a_delivery_that_does_not_count_prints_the_nearest_rule_and_exits_with_1(tmp_path: Path) -> None:
    tried = _try(tmp_path)
    assert tried.returncode == 1
    first, *_, last = tried.stdout.splitlines()
    assert first == "ignored: no label `experiment`; labels were bet"
    assert last == "  nearest the rule `experiment by label` matches all but label (expected `experiment`, got `bet`)"


def test_a_title_does_not_control_the_terminal(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_bytes(Issue(title="a\x9b2J\x1b]0;b\x07\u202e", created_at=at(2)).opened().body)
    tried = invoke("rules", "try", "--source", "github", "--header", "X-GitHub-Event: issues", str(body))
    assert "title a" in tried.stdout
    assert tried.stdout.replace("\n", "").isprintable()


def test_the_nearest_rules_of_a_delivery_that_does_not_count_are_in_the_json(tmp_path: Path) -> None:
    tried = _try(tmp_path, "--rules", str(tmp_path / "rules.yaml"), "--json", labels=())
    unmet = {"condition": "label", "expected": ["bet"], "found": []}
    assert tried.returncode == 1
    assert json.loads(tried.stdout)["nearest"][0] == {"rule": "a bet", "unmet": [unmet]}


def test_trying_a_delivery_that_cannot_be_read_exits_with_1(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text("{")
    tried = invoke("rules", "try", "--source", "github", "--header", "X-GitHub-Event: issues", str(body))
    assert (tried.returncode, tried.stdout.partition(":")[0]) == (1, "failed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "githib"], "githib is neither a source nor a provider; did you mean github?"),
        (["--source", "xyzzy"], "xyzzy is neither a source nor a provider; the providers are github, "),
        (["--source", "github", "--header", "x"], "expected a header such as 'X-GitHub-Event: issues', got 'x'"),
    ],
)
def test_wrong_usage_of_try_exits_with_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    body = tmp_path / "body.json"
    body.write_text("{}")
    ended = invoke("rules", "try", *arguments, str(body))
    assert ended.returncode == 2
    assert message in " ".join(ended.stderr.split())


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (None, "docs/rules.md"),
        (["Changelog, https://acme.example/changes"], "docs/rules.md"),
        (["Documentation, https://acme.example/docs/"], "https://acme.example/docs/rules.md"),
    ],
)
def test_the_reference_is_at_the_address_that_the_package_names(
    monkeypatch: pytest.MonkeyPatch, lines: list[str] | None, address: str
) -> None:
    monkeypatch.setattr("service.commands.faults.metadata", lambda name: Mock(get_all=lambda key: lines))
    assert manual("rules.md") == address
