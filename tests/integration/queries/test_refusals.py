"""Every command without effect is answered with its reason, in `GET /deliveries` and in `explain`."""

import json
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pytest
from click import unstyle
from sqlalchemy import Text, cast, select

from service.lifecycle.references import Ref
from service.presentation.explanation import explanation_answer
from service.presentation.explanation_text import explanation_text
from service.queries.explain import explain
from service.storage.database import Database
from service.storage.tables import events
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, changed
from tests.support.payloads import Ticket
from tests.support.road import TERMS, all_experiments, api, deliver, read_deliveries
from tests.support.signing import SOURCES

OUTCOMES = "expected one of worked, failed, inconclusive, abandoned"
CATEGORIES = "expected one of intelligent, basic, complex"
PREFIX = "a command begins with /experiment and a space"
PLACE = "a command stands at the beginning of its line, without formatting or other words before it"
MANY = "too many words after the command; expected /experiment"
UNMARKED = "nothing marks this as an experiment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A comment whose command has no effect.

    Attributes:
        wrong: the text of the comment, which is written on the seventh of the month.
        why: a part of the reason.
        before: the comments before it, one a day from the third.
        after: the comments after it, one a day from the eighth.
        mark: the labels of the item.
    """

    wrong: str
    why: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    mark: tuple[str, ...] = ("experiment",)
    association: str = "MEMBER"

    def story(self, number: int) -> list[GitHubRequest]:
        issue = Issue(number=number, created_at=at(2), labels=self.mark)
        comments = [*enumerate(self.before, 3), *enumerate(self.after, 8)]
        return [
            issue.opened(),
            *(issue.commented(text, at(day)) for day, text in comments),
            issue.commented(self.wrong, at(7), self.association),
        ]


CASES = [
    Case(wrong="/experiment", why="a command is missing after /experiment; expected one of propose, start,"),
    Case(wrong="/experiments start", why=PREFIX),
    Case(wrong="/experiment: start", why=PREFIX),
    Case(wrong="/experiment, start", why=PREFIX),
    Case(wrong="/experiment clasify intelligent", why="did you mean classify?", before=("/experiment start",)),
    Case(wrong="/experiment finish", why="did you mean conclude?"),
    Case(wrong="/experiment concluded failed", why="did you mean conclude?"),
    Case(wrong="/experiment outcome failed", why="did you mean conclude?"),
    Case(wrong="/experiment jane", why="unknown command; expected one of"),
    Case(wrong="/experiment @jane", why="unknown command; expected one of"),
    Case(wrong="/experiment conclude", why=f"conclude needs outcome: {OUTCOMES}"),
    Case(wrong="/experiment conclude fail", why=f"outcome: {OUTCOMES}; did you mean failed?"),
    Case(wrong="/experiment conclude success", why="`success` is none of worked, failed, inconclusive, abandoned; did"),
    Case(wrong="/experiment conclude intelligent", why="did you mean conclude failed intelligent?"),
    Case(
        wrong="/experiment conclude failed inteligent", why="`inteligent` is none of intelligent, basic, complex; did"
    ),
    Case(wrong="/experiment conclude worked basic", why="only a failed experiment has a failure category"),
    Case(wrong="/experiment conclude failed basic again", why=f"{MANY} conclude <outcome> [failure_category]"),
    Case(wrong="/experiment classify", why=f"classify needs failure category: {CATEGORIES}"),
    Case(
        wrong="/experiment classify complx",
        why="`complx` is none of intelligent, basic, complex; did you mean complex?",
    ),
    Case(wrong="/experiment signal", why="signal needs result: expected one of success, failure"),
    Case(wrong="/experiment signal sucess", why="did you mean success?"),
    Case(wrong="/experiment share wiki", why="expected a URL that begins with http:// or https://"),
    Case(wrong="/experiment share https://a.example and more", why=f"{MANY} share [learning_url]"),
    Case(wrong="/experiment start today", why=f"{MANY} start"),
    Case(wrong="/experiment team", why="team needs a value: expected a team name"),
    Case(wrong="/experiment team _org", why="team: expected a team name of at most 100 characters"),
    Case(wrong="/experiment team ml platform", why=f"{MANY} team <team>"),
    Case(wrong="/experiment risk blod", why="risk: expected one of bold, safe; did you mean bold?"),
    Case(wrong="/experiment bodl", why="did you mean bold?"),
    Case(wrong="/experiment title Cache", why="unknown command"),
    Case(wrong="Thanks!\n/experiment start\n/experiment strat", why="did you mean start?"),
    Case(wrong="/experiment start", why="arrives as CONTRIBUTOR; GitHub reports private", association="CONTRIBUTOR"),
    Case(wrong="/experiment start", why="only members, owners and collaborators", association="NONE"),
    Case(wrong="/experiment start", why=UNMARKED, mark=("bug",)),
    Case(wrong="/experiment conclude failed basic", why=UNMARKED, mark=()),
    Case(wrong="/experiment exclude", why=UNMARKED, mark=()),
    Case(
        wrong="/experiment start",
        why="it has been started since 2026-03-03T09:00:00Z",
        before=("/experiment start",),
    ),
    Case(
        wrong="/experiment start",
        why="it was concluded at 2026-03-03T09:00:00Z, and a start does not reopen it; reopen it first",
        before=("/experiment conclude worked",),
    ),
    Case(
        wrong="/experiment conclude failed basic",
        why="it has been concluded as failed basic since 2026-03-03T09:00:00Z",
        before=("/experiment conclude failed basic",),
    ),
    Case(wrong="/experiment reopen", why="it was open, so there was nothing to reopen"),
    Case(
        wrong="/experiment reopen",
        why="it was open, so there was nothing to reopen",
        before=("/experiment conclude worked", "/experiment reopen"),
    ),
    Case(
        wrong="/experiment classify intelligent",
        why="only a failed experiment has a category, and the outcome is worked",
        before=("/experiment conclude worked",),
    ),
    Case(
        wrong="/experiment classify intelligent",
        why="only a failed experiment has a category, and the outcome is abandoned",
        after=("/experiment conclude abandoned",),
    ),
    Case(
        wrong="/experiment signal success",
        why="it has had its first result since 2026-03-03T09:00:00Z",
        before=("/experiment signal failure",),
    ),
    Case(
        wrong="/experiment signal success",
        why="it was concluded at 2026-03-04T09:00:00Z, before this result",
        before=("/experiment start", "/experiment conclude worked"),
    ),
    Case(wrong="/experiment ship", why="it has been shipped since 2026-03-03T09:00:00Z", before=("/experiment ship",)),
    Case(wrong="/experiment bold", why="the experiment is excluded: stated", before=("/experiment exclude",)),
    *(
        Case(wrong=text, why=PLACE)
        for text in ("**/experiment start**", "Please /experiment start", "- /experiment strat")
    ),
    Case(wrong="LGTM. `/experiment start` now", why=PLACE),
    Case(wrong="[/experiment start](https://a.example)", why=PLACE),
    Case(wrong="| /experiment start |", why=PLACE),
    Case(wrong="> /experiment start", why="a command in a quotation has no effect"),
    Case(wrong="```\n/experiment start\n```", why="a command in a code block has no effect"),
    Case(wrong="<!-- /experiment start -->", why="a command in an HTML comment has no effect"),
    Case(wrong="/expirement done", why=PREFIX),
    Case(wrong="/ experiment start", why=PREFIX),
    Case(wrong="experiment start", why=PREFIX),
    Case(wrong="!experiment start", why=PREFIX),
    Case(wrong="//experiment start", why=PREFIX),
    Case(wrong="Experiment done", why=PREFIX),
    Case(wrong="/experiment outcome:failed", why="did you mean conclude failed?"),
    Case(wrong="```\n/experiment start", why="the command is in a code block without an end"),
    Case(wrong="/experment start", why=PREFIX),
    Case(wrong="/experiment team @jane", why="team: expected the name of a team without @"),
    Case(wrong="/experiment bold\n/experiment safe", why="an earlier line of the comment gives another risk"),
    Case(wrong="/experiment conclude worked.", why="write worked without punctuation"),
]
NUMBERED = list(enumerate(CASES, 100))


async def fetched(database: Database, path: str) -> Any:
    async with api(database, at(20), sources=SOURCES) as client:
        response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def refused(database: Database, number: int, mark: str = "#") -> list[dict[str, Any]]:
    answer = await fetched(database, f"/experiments/github:acme/app{'%23' if mark == '#' else '!'}{number}/explain")
    found: list[dict[str, Any]] = answer["refused"]
    return found


async def reasons(database: Database) -> dict[str, str]:
    """The status and reason of each delivery, by id, as `GET /deliveries` lists them."""
    page = await fetched(database, "/deliveries?limit=500")
    return {one["id"]: one["reason"] for one in page["deliveries"]}


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
async def test_every_wrong_command_is_answered_with_its_reason_in_any_order_of_arrival(
    database: Database, *, backwards: bool
) -> None:
    requests = list(chain.from_iterable(case.story(number) for number, case in NUMBERED))
    await deliver(database, *(reversed(requests) if backwards else requests))
    listed = await reasons(database)
    for number, case in NUMBERED:
        shown = await refused(database, number)
        told = [one for one in shown if one["occurred_at"] == "2026-03-07T09:00:00Z"]
        assert [case.why in one["reason"] for one in told] == [True], (case, shown)
        assert (told[0]["channel"], told[0]["subject"]) == ("comment", f"github:acme/app#{number}")
        [origin] = told[0]["origins"]
        assert case.why in listed[origin["delivery"]], (case, listed[origin["delivery"]])
        # No earlier command is blamed, unless it is itself without effect.
        assert len(shown) == 1 + (case.mark != ("experiment",)) * len(case.before), (case, shown)


def words_of(answer: Any) -> str:
    return json.dumps(answer)


async def test_the_answer_names_a_label_of_a_category_without_effect(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment",))
    basic, added = issue.labeled("failure:basic", at(4))
    await deliver(database, issue.opened(), issue.commented("/experiment conclude inconclusive", at(3)), added)
    [told] = await refused(database, 45)
    assert (told["channel"], told["occurred_at"]) == ("label", "2026-03-04T09:00:00Z")
    assert told["reason"] == (
        "label `failure:basic`: only a failed experiment has a category, and the outcome is inconclusive; "
        "if it failed, add the label outcome:failed"
    )
    _, removed = basic.unlabeled("failure:basic", at(5))
    await deliver(database, removed)
    assert await refused(database, 45) == []


async def test_no_answer_quotes_an_account(database: Database) -> None:
    texts = ["jane", "@jane", "conclude jane", "jane@example.com", "conclude failed jane", "team _jane", "start jane"]
    issue = Issue(created_at=at(2), labels=("experiment", "risk:jane@example.com"))
    comments = [issue.commented(f"/experiment {text}", at(3 + day)) for day, text in enumerate(texts)]
    await deliver(database, issue.opened(), *comments)
    shown = await refused(database, 45)
    assert len(shown) == len(texts) + 1
    assert "jane" not in words_of(shown)
    assert "jane" not in words_of([row.reason for row in await read_deliveries(database)])
    async with database.transaction() as connection:
        stored = await connection.scalars(select(cast(events.c.data, Text)).where(events.c.kind == "refused"))
    assert not [data for data in stored if "jane" in data]


async def test_a_refused_command_changes_no_experiment_and_no_metric(database: Database) -> None:
    told, silent = (Issue(number=number, created_at=at(2), labels=("experiment",)) for number in (45, 46))
    wrong = ["/experiment conclude fail\n/experiment clasify basic", "/experiment reopen please"]
    await deliver(
        *(database, told.opened(), silent.opened(), silent.commented("Hm.", at(7))),
        *(told.commented(text, at(7)) for text in wrong),
    )
    assert len(await refused(database, 45)) == 3
    found = await all_experiments(database)
    one, other = found["github:acme/app#45"], found["github:acme/app#46"]
    assert replace(one, root=other.root, url=other.url) == other
    assert {row.verdict for row in await read_deliveries(database) if "refused" in (row.reason or "")} == {"counted"}


async def test_a_reason_disappears_when_a_later_delivery_makes_the_command_effective(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=())
    await deliver(database, issue.opened(), issue.commented("/experiment start", at(3)))
    assert [UNMARKED in one["reason"] for one in await refused(database, 45)] == [True]
    await deliver(database, issue.commented("/experiment propose", at(4)))
    assert await refused(database, 45) == []
    assert not any("no effect" in reason for reason in (await reasons(database)).values())
    assert (await all_experiments(database))["github:acme/app#45"].started_at == at(3)


async def test_a_command_on_evidence_is_explained_for_the_experiment_that_it_serves(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment",))
    pull = PullRequest(created_at=at(3), body="Closes #45")
    comments = [pull.commented(f"/experiment {text}", at(4)) for text in ("reopen", "clasify basic", "exclude")]
    await deliver(database, issue.opened(), pull.opened(), *comments)
    for number, mark in ((45, "#"), (7, "!")):
        shown = await refused(database, number, mark)
        assert [one["subject"] for one in shown] == ["github:acme/app!7"] * 3
        assert {one["reason"].partition(";")[0].partition(":")[0] for one in shown} == {
            "it was open, so there was nothing to reopen",
            "only a comment on the experiment itself excludes it",
            "unknown command `clasify`",
        }


async def test_an_edit_that_adds_a_command_is_refused_and_other_edits_are_not(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment",))

    def edited(text: str, earlier: str, day: int) -> GitHubRequest:
        request = issue.commented(text, at(3))
        comment = {**json.loads(request.body)["comment"], "updated_at": f"2026-03-0{day}T09:00:00Z"}
        return changed(request, action="edited", changes={"body": {"from": earlier}}, comment=comment)

    await deliver(
        *(database, issue.opened(), issue.commented("Go!\n/experiment start", at(3))),
        *(edited("Go on!\n/experiment start", "Go!\n/experiment start", 4), edited("/experiment ship", "Go!", 5)),
    )
    [told] = await refused(database, 45)
    assert told["occurred_at"] == "2026-03-05T09:00:00Z"
    assert told["reason"] == "the edit of a comment gives no command; write the command in a new comment"


async def test_explain_shows_a_refused_label_while_the_item_has_it(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment",))
    wrong, labelled = issue.labeled("failure:inteligent", at(3))
    _, removed = wrong.unlabeled("failure:inteligent", at(5))
    why = f"label `failure:inteligent`: {CATEGORIES}; did you mean intelligent?"
    await deliver(database, issue.opened(), wrong.commented("Hm.", at(4)), labelled)
    [told] = await refused(database, 45)
    assert (told["occurred_at"], told["channel"], told["reason"]) == ("2026-03-03T09:00:00Z", "label", why)
    assert sum(why in reason for reason in (await reasons(database)).values()) == 2
    await deliver(database, removed)
    assert await refused(database, 45) == []


async def test_the_answer_names_a_misspelt_label_while_the_item_has_it_and_the_label_changes_no_experiment(
    database: Database,
) -> None:
    wrong = ("outcme:failed", "learning:shard", "team:")
    told = Issue(created_at=at(2), labels=("experiment", *wrong))
    silent = Issue(number=46, created_at=at(2), labels=("experiment",))
    await deliver(database, told.opened(), silent.opened())
    shown = await refused(database, 45)
    assert {(one["channel"], one["reason"]) for one in shown} == {
        ("label", "label `outcme:failed`: did you mean outcome:failed?"),
        ("label", "label `learning:shard`: did you mean learning:shared?"),
        ("label", "label `team:`: a value is missing after the colon"),
    }
    found = await all_experiments(database)
    one, other = found["github:acme/app#45"], found["github:acme/app#46"]
    assert replace(one, root=other.root, url=other.url) == other
    for label in wrong:
        told, removed = told.unlabeled(label, at(5))
        await deliver(database, removed)
    assert await refused(database, 45) == []


async def test_the_answer_for_an_item_with_a_misspelt_mark_says_what_was_meant(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2), labels=("expriment",)).opened())
    assert await all_experiments(database) == {}
    why = "label `expriment`: did you mean experiment?"
    [listed] = (await reasons(database)).values()
    assert why in listed
    shown = await explain(database, Ref("github:acme/app#45"), TERMS, at(20))
    written = unstyle(explanation_text(explanation_answer(shown, ["github"]), 100))
    assert "not an experiment: nothing marks it as an experiment" in written
    assert why in written


async def test_a_command_in_a_tool_that_is_not_trusted_is_refused(database: Database) -> None:
    ticket = Ticket(created_at=at(2))
    await deliver(database, ticket.created(), ticket.commented("/experiment start", at(3)))
    answer = await fetched(database, "/experiments/jira:ML-12/explain")
    [told] = answer["refused"]
    why = (
        "jira does not tell whether the author may give commands; "
        "add `trust_comments: [jira]` to the rules file, or use a label"
    )
    assert told["reason"] == why
    advised = {one["field"]: one["remark"] for one in answer["in_force"]}
    assert advised["risk"] == "add the label risk:bold"
    assert why in (await reasons(database))[told["origins"][0]["delivery"]]


async def test_the_text_of_explain_has_the_commands_without_effect(database: Database) -> None:
    issue = Issue(created_at=at(2), labels=("experiment",))
    await deliver(database, issue.opened(), issue.commented("/experiment conclude fail", at(3)))
    shown = await explain(database, Ref("github:acme/app#45"), TERMS, at(20))
    [origin] = shown.refusals[0].origins
    written = unstyle(explanation_text(explanation_answer(shown, ["github"]), 100))
    assert written.partition("\nwithout effect\n")[2].splitlines()[:3] == [
        "  2026-03-03 09:00  comment on github:acme/app#45: conclude: outcome: expected one of worked,",
        "    failed, inconclusive, abandoned; did you mean failed?",
        f"    github {origin.delivery}",
    ]


async def test_the_deliveries_of_which_a_part_was_refused_are_listed_whatever_their_status(database: Database) -> None:
    marked = Issue(created_at=at(2), labels=("experiment", "risk:blod"))
    unmarked = Issue(number=46, created_at=at(2), labels=("refused: nothing",))
    stranger = changed(
        unmarked.commented("/experiment start", at(3)),
        comment={"body": "/experiment start", "author_association": "NONE", "created_at": "2026-03-03T09:00:00Z"},
    )
    fine = Issue(number=47, created_at=at(2), labels=("experiment",))
    await deliver(database, marked.opened(), unmarked.opened(), stranger, fine.opened())
    page = await fetched(database, "/deliveries?verdict=refused")
    assert {(one["verdict"], one["reference"], "refused: " in one["reason"]) for one in page["deliveries"]} == {
        ("counted", "github:acme/app#45", True),
        ("ignored", "github:acme/app#46", True),
    }
    assert len(page["deliveries"]) == 2
