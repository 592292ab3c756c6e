"""`loopgauge replay` prints the metrics that change under other rules."""

import json
from pathlib import Path

from tests.support.builders import Issue, at
from tests.support.commands import in_database, invoke
from tests.support.road import deliver
from tests.support.rules_files import BETS


def test_a_replay_prints_each_sample_that_changes(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(BETS)
    settings = {"DATABASE_URL": database_url, "RULES": str(file)}
    in_database(database_url, lambda database: deliver(database, Issue(created_at=at(2), labels=("bet",)).opened()))
    changed = 'loopgauge_experiments_in_flight{stage="proposed", team="growth"}: none -> 1\n'
    dry_run = invoke("replay", "--dry-run", **settings)
    assert changed in dry_run.stdout
    assert "1 deliveries replayed" in dry_run.stdout
    assert changed in invoke("replay", **settings).stdout
    again = json.loads(invoke("replay", "--json", **settings).stdout)
    assert again == {"deliveries": 1, "changed": {}}
