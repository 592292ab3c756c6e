"""`explain` says what an experiment is, when its steps happened, who said what, and which metrics count it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from unicodedata import east_asian_width

import click
import pytest
from sqlalchemy import event

from service.lifecycle.references import Ref, experiment_id
from service.presentation.explanation import ExplanationAnswer, explanation_answer
from service.presentation.explanation_text import explanation_text
from service.queries.explain import explain
from service.storage.database import Database
from tests.support.builders import Issue, PullRequest, at, deployment_status, terms, workflow_run
from tests.support.payloads import Ticket
from tests.support.road import api, bearer, deliver, settle

DAY = timedelta(days=1)
ISSUE = Issue(created_at=at(2), labels=("experiment", "team:search"))
ROOT = "github:acme/app#45"
TERMS = terms("7d", "90d")
WRITE = "wr1te-t0ken"


async def answer(database: Database, reference: str = ROOT, days: float = 8) -> ExplanationAnswer:
    """The explanation of a subject, some days after the idea of `ISSUE`."""
    return explanation_answer(await explain(database, Ref(reference), TERMS, at(2) + days * DAY), ["github"])


def text(shown: ExplanationAnswer, *, events: bool = False) -> str:
    """The text as a terminal of 80 columns shows it, without its colours."""
    written = click.unstyle(explanation_text(shown, 80, events=events))
    assert all(len(line) <= 80 for line in written.splitlines()), written
    return written


def section(written: str, title: str) -> list[str]:
    """The lines of a section."""
    return written.partition(f"\n{title}\n")[2].partition("\n\n")[0].splitlines()


def steps(shown: ExplanationAnswer) -> dict[str, str]:
    return {one.step: one.said_by.words if one.said_by else one.remark for one in shown.timeline}


async def test_a_failed_experiment_has_six_lines_at_most_and_each_says_who_said_so(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    labelled, failed = ISSUE.labeled("outcome:failed", at(6))
    classified, category = labelled.labeled("failure:intelligent", at(6))
    closed, ended = classified.closed(at(6, "10:00:00"))
    shared = closed.commented("/experiment share https://example.org/learning", at(8))
    await deliver(
        *(database, ISSUE.opened(), ISSUE.assigned(at(2, "16:00:00")), pull.opened()),
        *(workflow_run(pull.head, at(4), "failure"), failed, category, ended, shared),
    )
    shown = await answer(database)
    written = text(shown)
    assert written.splitlines()[:4] == [
        "Answer from the cache",
        "https://github.com/acme/app/issues/45",
        f"github:acme/app#45, team search, id {experiment_id(Ref(ROOT))}",
        "concluded: failed (intelligent) after 4 days 1 hour, threshold 14 days: within",
    ]
    assert section(written, "timeline (UTC)") == [
        "  idea         2026-03-02 09:00                  by creation (github)",
        "  start        2026-03-02 16:00 +7 hours         by assignment (github)",
        "  first result 2026-03-04 09:00 +1 day 17 hours  by a run that failed (github),",
        "                                                 failure",
        "  answer       2026-03-06 10:00 +2 days 1 hour   by closing (github)",
        "  shared       2026-03-08 09:00 +1 day 23 hours  by comment (github)",
    ]
    in_force = section(written, "in force")
    assert "  outcome   failed, by label outcome:failed (github), since 2026-03-06 09:00" in in_force
    assert "            overrules acme/app, inferred from the project (github)" in in_force
    [learning] = [one for one in shown.in_force if one.field == "learning_url"]
    assert (learning.value, learning.said_by and learning.said_by.channel) == (
        "https://example.org/learning",
        "comment",
    )
    counts = section(written, "counts in these metrics of team search, and in those of all teams")
    assert counts[-1] == "  all shares and medians: withheld (1 of 5 needed; see LOOPGAUGE_MIN_SAMPLE)"
    assert "".join(counts).count("withheld") == 1
    assert '  loopgauge_failures{category="intelligent"}  1 of 1 in 7d, 1 of 1 in 90d' in counts


async def test_an_experiment_that_shipped_has_a_line_for_it(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    concluded = ISSUE.commented("/experiment conclude worked", at(6))
    await deliver(database, ISSUE.opened(), pull.opened(), workflow_run(pull.head, at(4)), concluded)
    assert steps(await answer(database))["shipped"] == "not shipped yet"
    await deliver(database, deployment_status(pull.head, at(7)))
    shown = await answer(database)
    assert steps(shown)["shipped"] == "by a deployment (github)"
    assert len(shown.timeline) <= 6


async def test_an_open_experiment_says_how_long_it_is_open_and_whether_it_is_overdue(database: Database) -> None:
    await deliver(database, ISSUE.opened())
    early, late, forgotten = [await answer(database, days=days) for days in (5, 20, 40)]
    assert steps(early) == {
        "idea": "by creation (github)",
        "start": "not started yet",
        "answer": "open for 5 days, threshold 14 days",
    }
    assert steps(late)["answer"] == "open for 20 days, threshold 14 days: overdue"
    assert steps(forgotten)["answer"].endswith(": overdue, no activity for 40 days: forgotten")
    assert text(forgotten).splitlines()[3:5] == [
        "open for 40 days, threshold 14 days: not started, overdue, forgotten",
        "last activity 2026-03-02 09:00, 40 days ago: forgotten after 30 days",
    ]
    assert "last activity" not in text(late)
    assert section(text(early), "not counted") == ["  metrics of answers and failures do not count it: it is open"]


async def test_an_unclassified_failure_and_an_undeclared_outcome_say_how_to_declare_them(database: Database) -> None:
    failed, undeclared = ISSUE, replace(ISSUE, number=46)
    await deliver(
        *(database, failed.opened(), failed.commented("/experiment conclude failed", at(5))),
        *(undeclared.opened(), undeclared.closed(at(5))[1]),
    )
    lines = " ".join(" ".join(section(text(await answer(database)), "in force")).split())
    assert "unclassified: add the label failure:intelligent, or comment /experiment classify intelligent" in lines
    lines = " ".join(" ".join(section(text(await answer(database, "github:acme/app#46")), "in force")).split())
    assert "undeclared: add the label outcome:failed, or comment /experiment conclude failed" in lines
    assert "learning none: add the label learning:shared, or comment /experiment share" in lines
    assert "risk none: add the label risk:bold" in lines


async def test_a_label_for_the_outcome_waits_for_the_conclusion(database: Database) -> None:
    await deliver(database, ISSUE.opened(), ISSUE.labeled("outcome:failed", at(3))[1])
    shown = await answer(database)
    [outcome] = [one for one in shown.in_force if one.field == "outcome"]
    assert (outcome.value, outcome.remark) == ("failed", "takes effect when the experiment is concluded")


async def test_an_abandoned_experiment_says_which_metrics_do_not_count_it(database: Database) -> None:
    await deliver(database, ISSUE.opened(), ISSUE.commented("/experiment conclude abandoned", at(5)))
    shown = await answer(database)
    assert text(shown).splitlines()[3] == "concluded: abandoned"
    assert shown.not_counted == ["metrics of answers and failures do not count it: it was abandoned"]
    [ratio] = [
        one for one in shown.figures if (one.metric, one.labels["window"]) == ("loopgauge_abandoned_ratio", "7d")
    ]
    assert (ratio.numerator and ratio.numerator.includes, ratio.value) == (True, None)


async def test_an_excluded_item_says_why_since_when_and_by_which_rule(database: Database) -> None:
    await deliver(database, ISSUE.opened(), ISSUE.closed(at(5), "duplicate")[1])
    shown = await answer(database)
    assert (shown.timeline, shown.in_force, shown.figures) == ([], [], [])
    reason = " ".join(text(shown).split())
    assert 'not an experiment: it is excluded: duplicate, by rule "seen as a duplicate" (github), since' in reason


async def test_events_without_effect_say_what_outweighs_them_and_an_overruled_value_is_shown_once(
    database: Database,
) -> None:
    labelled, early = ISSUE.labeled("outcome:worked", at(3))
    await deliver(
        *(database, ISSUE.opened(), early, labelled.commented("/experiment start", at(4))),
        *(labelled.commented("/experiment conclude failed", at(5)), labelled.commented("/experiment start", at(6))),
        labelled.labeled("outcome:inconclusive", at(7))[1],
    )
    shown = await answer(database)
    outweighed = {(one.kind, one.occurred_at.day, one.data.get("value")): one.outweighed for one in shown.events}
    assert outweighed["started", 4, None] == ""
    assert outweighed["started", 6, None] == "it has been started since 2026-03-04T09:00:00Z"
    newest = "inconclusive, stated by label at 2026-03-07T09:00:00Z, outweighs it"
    assert outweighed["declared", 3, "worked"] == outweighed["declared", 5, "failed"] == newest
    assert outweighed["declared", 7, "inconclusive"] == ""
    assert "    no effect: it has been started since 2026-03-04T09:00:00Z" in text(shown, events=True).splitlines()
    [outcome] = [one for one in shown.in_force if one.field == "outcome"]
    assert [(one.value, one.said_by.words) for one in outcome.overrules] == [
        ("failed", "by comment (github)"),
        ("worked", "by label outcome:worked (github)"),
    ]
    assert "            overrules failed, by comment (github)" in text(shown).splitlines()
    told = [one.reason for one in shown.refused]
    assert any(
        reason.startswith("label `outcome:worked`: it contradicts the label for inconclusive") for reason in told
    )


@pytest.mark.parametrize(
    ("texts", "closed", "remedy"),
    [
        (("exclude",), None, "comment /experiment propose"),
        ((), "duplicate", ""),
        ((), None, "add the label experiment, or "),
    ],
)
async def test_an_excluded_item_says_how_to_include_it_if_people_excluded_it(
    database: Database, texts: tuple[str, ...], closed: str | None, remedy: str
) -> None:
    comments = [ISSUE.commented(f"/experiment {text}", at(4)) for text in texts]
    changes = [ISSUE.closed(at(5), closed)[1]] if closed else [] if texts else [ISSUE.unlabeled("experiment", at(5))[1]]
    await deliver(database, ISSUE.opened(), *comments, *changes)
    async with api(database, at(10)) as client:
        shown = (await client.get("/experiments/github:acme/app%2345/explain")).json()
    assert shown["experiment"] is None
    assert shown["remedy"].startswith(remedy)
    assert bool(shown["remedy"]) == bool(remedy)


async def test_an_overruled_value_that_two_statements_give_is_one_line(database: Database) -> None:
    labelled, early = ISSUE.labeled("risk:bold", at(3))
    commented = [labelled.commented(f"/experiment {text}", at(day)) for day, text in ((4, "bold"), (5, "team ads"))]
    safe = labelled.labeled("risk:safe", at(6))[1]
    await deliver(database, ISSUE.opened(), early, *commented, safe)
    lines = " ".join(" ".join(text(await answer(database)).split()).split())
    assert "overrules bold, by comment (github) and by label risk:bold (github)" in lines


async def test_an_unmarked_item_has_its_title_and_the_ways_to_mark_it(database: Database) -> None:
    await deliver(database, replace(ISSUE, labels=("bug",)).opened(), Ticket(created_at=at(2), type="Task").created())
    async with api(database, at(10)) as client:
        found = (await client.get("/experiments/github:acme/app%2345/explain")).json()
        ticket = (await client.get("/experiments/jira:ML-12/explain")).json()
    assert (found["experiment"], found["title"]) == (None, ISSUE.title)
    assert found["why_not"] == "nothing marks it as an experiment"
    assert found["remedy"] == (
        "add the label experiment, or set its type to Experiment, Spike or Hypothesis, or comment /experiment propose"
    )
    assert ticket["remedy"].startswith("add the label experiment, or set its type to Experiment")
    assert ticket["remedy"].endswith(", or run `loopgauge propose jira:ML-12`")
    written = text(ExplanationAnswer.model_validate(found)).splitlines()
    assert written[:3] == [ISSUE.title, ROOT, "not an experiment: nothing marks it as an experiment"]
    assert written[3].startswith("to make it one, add the label experiment")


async def test_an_experiment_with_a_time_in_the_future_is_counted_by_no_metric_until_then(database: Database) -> None:
    await deliver(database, replace(ISSUE, created_at=at(20)).opened())
    shown = await answer(database)
    assert shown.not_counted == ["no metric counts it until 2026-03-20 09:00: it has a time in the future"]
    assert {one.metric for one in shown.figures} == {"loopgauge_excluded"}
    assert steps(shown)["answer"] == "not concluded"


async def test_a_step_before_the_step_before_it_has_a_negative_time_and_the_stage_is_left_out(
    database: Database,
) -> None:
    late = replace(ISSUE, created_at=at(3))
    await deliver(database, late.opened(), late.commented("/experiment start", at(2)))
    shown = await answer(database)
    assert any(line.startswith("  start        2026-03-02 09:00 -1 day ") for line in text(shown).splitlines())
    assert "the stage idea to start is left out: it ends before it begins" in shown.not_counted
    [start] = [one for one in shown.timeline if one.step == "start"]
    assert (start.after, start.remark) == (None, "earlier than the step before")


async def test_a_restarted_experiment_says_when_it_was_restarted(database: Database) -> None:
    restarted = PullRequest(created_at=at(7), branch="exp/cache").opened()
    await deliver(database, ISSUE.opened(), ISSUE.closed(at(5))[1], restarted)
    assert "restarted 2026-03-07 09:00, after it was concluded" in text(await answer(database))


async def test_evidence_names_the_experiment_that_it_is_evidence_for(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    await deliver(database, ISSUE.opened(), pull.opened(), workflow_run(pull.head, at(4)))
    written = text(await answer(database, f"commit:{pull.head}"))
    assert "it is evidence for" in written
    assert f"next: loopgauge explain {ROOT}" in written


async def test_a_statement_of_a_person_with_a_command_or_the_api_is_said_by_hand(database: Database) -> None:
    await deliver(database, ISSUE.opened())
    async with api(database, now=at(5), api_tokens={"write": WRITE}) as client:
        path = f"/experiments/{ROOT.replace('#', '%23')}/events"
        body = {"event": "concluded", "outcome": "failed"}
        posted = await client.post(path, json=body, headers=bearer(WRITE))
    assert posted.is_success, posted.text
    await settle(database)
    shown = await answer(database)
    assert steps(shown)["answer"] == "by hand"
    [outcome] = [one for one in shown.in_force if one.field == "outcome"]
    assert (outcome.value, outcome.said_by and outcome.said_by.channel) == ("failed", "api")


async def test_a_command_that_only_records_an_instant_is_said_by_comment(database: Database) -> None:
    await deliver(
        *(database, ISSUE.opened(), ISSUE.commented("/experiment signal failure", at(4))),
        *(ISSUE.commented("/experiment conclude worked", at(5)), ISSUE.commented("/experiment ship", at(6))),
    )
    said = steps(await answer(database))
    assert said["first_result"] == said["shipped"] == "by comment (github)"


async def test_internals_are_shown_only_with_events(database: Database) -> None:
    await deliver(database, ISSUE.opened())
    shown = await answer(database)
    [origin] = shown.events[-1].origins
    assert str(origin.delivery) not in text(shown)
    assert "36aeaa1b-75b3-55d0-a416-c9a9e568c6e1" in text(shown).splitlines()[2]
    complete = text(shown, events=True)
    for internal in (str(origin.delivery), "proposed by creation", "idea_inferred", "36aeaa1b-75b3-55d0"):
        assert internal in complete
    assert 'loopgauge_experiments_in_flight{team="search", stage="proposed"}' in complete


@pytest.mark.parametrize("title", ["\x1b[2J\x1b[31mred", "x" * 5000, "日本" * 60, "one\rtwo", "a " * 300])
async def test_a_title_can_neither_command_the_terminal_nor_fill_it(database: Database, title: str) -> None:
    await deliver(database, replace(ISSUE, title=title).opened())
    written = explanation_text(await answer(database), 80)
    assert "\x1b[2J" not in written
    assert "\r" not in written
    lines = click.unstyle(written).splitlines()
    assert len(lines) < 50
    assert max(map(columns, lines)) <= 80


@pytest.mark.parametrize("width", [40, 60, 80, 200])
async def test_no_line_of_the_timeline_is_cut_and_none_is_wider_than_the_terminal(
    database: Database, width: int
) -> None:
    late = replace(ISSUE, created_at=at(3))
    await deliver(database, late.opened(), late.commented("/experiment start", at(2)), late.closed(at(6))[1])
    shown = await answer(database)
    for step in shown.timeline:
        step.remark = ", ".join(filter(None, (step.remark, 'a remark that is "longer" than any terminal is wide ' * 5)))
    written = click.unstyle(explanation_text(shown, width))
    assert "…" not in written
    assert max(map(columns, written.splitlines())) <= width
    plain = " ".join(written.split())
    assert plain.count(" ".join(('a remark that is "longer" than any terminal is wide ' * 5).split())) == 4


def columns(line: str) -> int:
    """The number of columns of a terminal that a line takes."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in line)


async def test_the_text_shows_the_latest_commands_without_effect_and_the_events_show_all(database: Database) -> None:
    wrong = [ISSUE.commented("/experiment strat", at(3) + number * DAY / 24) for number in range(12)]
    await deliver(database, ISSUE.opened(), *wrong)
    shown = await answer(database)
    assert section(text(shown), "without effect")[0] == "  2 earlier: --events shows them"
    assert text(shown).count("did you mean start?") == 10
    complete = section(text(shown, events=True), "without effect")
    assert complete[0].startswith("  2026-03-03 09:00  comment on ")
    assert "\n".join(complete).count("did you mean start?") == 12


async def test_an_explanation_reads_the_renames_once(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    await deliver(database, ISSUE.opened(), pull.opened(), workflow_run(pull.head, at(4)))
    read: list[str] = []

    def record(*arguments: Any) -> None:
        read.extend([arguments[2]] if "JOIN aliases" in arguments[2] else [])

    event.listen(database.engine.sync_engine, "before_cursor_execute", record)
    # The commit is evidence of the experiment, so the explanation reads the surroundings of the commit and then of
    # both.
    assert (await answer(database, f"commit:{pull.head}")).serves
    assert len(read) == 1


async def test_the_mark_of_an_item_whose_newest_payload_lacks_the_label_has_the_reason(database: Database) -> None:
    unmarked = replace(ISSUE, labels=("team:search",))
    await deliver(database, ISSUE.opened(), unmarked.edited(at(4)), unmarked.edited(at(6)))
    shown = await answer(database)
    (mark,) = [one for one in shown.events if one.data.get("field") == "experiment"]
    assert (mark.counts, mark.outweighed) == (False, "it is absent from the labels as of 2026-03-04T09:00:00Z")
    assert "no effect: it is absent from the labels as of" in text(shown, events=True)
    assert (
        "not an experiment: it is excluded: unmarked, inferred from a payload that no longer shows it (github), since "
        "2026-03-04 09:00"
    ) in " ".join(text(shown).split())


async def test_a_mark_that_was_removed_has_the_report_of_its_removal_as_the_reason(database: Database) -> None:
    removed, removal = ISSUE.unlabeled("experiment", at(4))
    await deliver(database, ISSUE.opened(), removal, removed.edited(at(6)))
    shown = await answer(database)
    assert [one.outweighed for one in shown.events if one.data.get("field") == "experiment" and one.kind == "declared"]
    assert "unmarked, by label experiment (github)" in " ".join(text(shown).split())


async def test_a_closing_that_a_later_payload_undoes_has_the_reason(database: Database) -> None:
    await deliver(database, ISSUE.opened(), ISSUE.closed(at(4))[1], ISSUE.edited(at(6)))
    shown = await answer(database)
    assert [one.outweighed for one in shown.events if one.kind == "concluded"] == [
        "it was reopened at 2026-03-06T09:00:00Z"
    ]
