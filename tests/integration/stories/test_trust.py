"""A statement counts only if its author has the right to make it: stories of other projects, outsiders and forks."""

import json
from collections.abc import Mapping

import pytest

from service.demo.post import zulu
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.trust import OUTSIDE_PROJECT, UNMERGED
from service.providers import PROVIDERS
from service.queries.explain import Explanation, explain
from service.rules.document import RulesFile
from service.rules.model import Rules
from service.rules.reader import read_rules
from service.settings import packaged_rules
from service.storage.database import Database
from tests.support.builders import GitHubRequest, Issue, PullRequest, at, changed, renamed, terms, workflow_run
from tests.support.payloads import Ticket
from tests.support.road import all_experiments, deliver
from tests.support.signing import Request, event, request

ISSUE = "github:acme/app#45"
STRANGERS = ["NONE", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "MANNEQUIN"]
INSIDERS = ["OWNER", "MEMBER", "COLLABORATOR"]


def rules(text: str) -> Rules:
    return read_rules(RulesFile("rules.yaml", text), packaged_rules(), PROVIDERS)


def by(association: str, delivery: GitHubRequest) -> GitHubRequest:
    """The delivery of a pull request whose author has this association with the repository."""
    shown = json.loads(delivery.body)["pull_request"]
    return changed(delivery, pull_request={**shown, "author_association": association})


async def explained(database: Database, subject: str) -> Explanation:
    return await explain(database, Ref(subject), terms("90d"), at(20))


def progress(experiment: Experiment) -> tuple[object, ...]:
    """The instants and the outcome that evidence can change."""
    return (
        experiment.started_at,
        experiment.first_signal_at,
        experiment.concluded_at,
        experiment.outcome,
        experiment.shared_at,
        experiment.shipped_at,
        experiment.team,
        experiment.risk,
        experiment.restarts,
    )


async def story(database: Database, *evidence: GitHubRequest | Request, given: Rules | None = None) -> Experiment:
    """Deliver a marked issue and then the evidence, and return the issue's experiment."""
    issue = Issue(created_at=at(2), labels=("experiment",)).opened()
    if given is None:
        await deliver(database, issue, *evidence)
    else:
        await deliver(database, issue, *evidence, rules=given)
    return (await all_experiments(database))[ISSUE]


COMMANDS = [
    "start",
    "signal failure",
    "conclude worked",
    "conclude failed basic",
    "share https://evil.example.com",
    "ship",
    "team evil",
    "bold",
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_on_evidence_in_another_repository_does_not_count(database: Database, command: str) -> None:
    pull = PullRequest(repository="acme/other", created_at=at(3), body="Closes acme/app#45")
    without = await story(database, pull.opened())
    # The link counts: an insider of a connected repository wrote it.
    assert without.started_at == at(3)
    await deliver(database, pull.commented(f"/experiment {command}", at(4)))
    assert progress((await all_experiments(database))[ISSUE]) == progress(without)
    for subject in (ISSUE, "github:acme/other!7"):
        told = await explained(database, subject)
        assert OUTSIDE_PROJECT in [refusal.reason for refusal in told.refusals]
    told = await explained(database, ISSUE)
    assert {one.objection for one in told.events if one.objection} == {OUTSIDE_PROJECT}
    assert not any(one.counts for one in told.events if one.objection)


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_on_evidence_in_the_same_repository_counts(database: Database, command: str) -> None:
    pull = PullRequest(created_at=at(3))
    without = await story(database, pull.opened())
    command_ = pull.commented(f"/experiment {command}", at(2, "12:00:00"))
    await deliver(database, command_)
    assert progress((await all_experiments(database))[ISSUE]) != progress(without)
    assert not [one for one in (await explained(database, ISSUE)).events if one.objection]


@pytest.mark.parametrize(
    ("named", "counts"),
    [
        ("{acme/other: acme/app}", True),
        ("{acme/other: [acme/infra, acme/app]}", True),
        ("{'acme/*': 'ACME/*'}", True),
        ("{'github:acme/other': 'github:acme/app'}", True),
        ("{acme/app: acme/other}", False),
        ("{acme/other: 'acme/ap'}", False),
        ("{acme/other: 'gitlab:acme/app'}", False),
    ],
)
async def test_the_rules_name_further_projects_for_the_commands_of_a_project(
    database: Database, named: str, counts: bool
) -> None:
    pull = PullRequest(repository="acme/other", created_at=at(3), body="Closes acme/app#45")
    said = pull.commented("/experiment conclude worked", at(4))
    experiment = await story(database, pull.opened(), said, given=rules(f"trust_projects: {named}"))
    assert (experiment.concluded_at is not None) == counts


@pytest.mark.parametrize(
    ("named", "counts"),
    [
        ("{acme/app: 'key:cache-12'}", True),
        ("{acme/app: 'key:*'}", True),
        ("{acme/app: cache-12}", True),
        ("{acme/app: [cache, key:cache, 'acme/*']}", False),
        ("{}", False),
    ],
)
async def test_a_command_on_the_evidence_of_a_key_counts_if_the_rules_name_the_key(
    database: Database, named: str, counts: bool
) -> None:
    key, pull = Ref("key:cache-12"), PullRequest(created_at=at(3), body="")
    given = rules(f"trust_projects: {named}")
    await deliver(
        database,
        event("proposed", key, at(2)),
        event("started", "github:acme/app!7", at(3), links=[key]),
        pull.commented("/experiment conclude worked", at(4)),
        rules=given,
    )
    experiment = (await all_experiments(database))[key]
    assert (experiment.concluded_at is not None) == counts


async def test_a_command_counts_under_every_name_of_its_repository(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    said = pull.commented("/experiment conclude worked", at(4))
    await deliver(database, Issue(created_at=at(2), labels=("experiment",)).opened(), pull.opened(), said)
    await deliver(database, renamed("app", "acme/engine", at(5)))
    [experiment] = (await all_experiments(database)).values()
    assert experiment.concluded_at == at(4)


@pytest.mark.parametrize("association", STRANGERS)
async def test_an_outsider_neither_starts_nor_signals_nor_repeats_the_experiment_of_another_until_the_merge(
    database: Database, association: str
) -> None:
    pull = PullRequest(created_at=at(3), branch="exp/again")
    without = await story(database)
    run = workflow_run(pull.head, at(4), "failure")
    await deliver(database, by(association, pull.opened()), run)
    experiment = (await all_experiments(database))[ISSUE]
    assert progress(experiment) == progress(without)
    told = await explained(database, ISSUE)
    assert UNMERGED in {one.objection for one in told.events}
    assert [one.objection for one in told.events if type(one.event).__name__ == "Signalled"] == [UNMERGED]
    # The change is evidence: it is activity on the experiment.
    assert (await explained(database, "github:acme/app!7")).serves == [ISSUE]
    pull, merged = pull.merged(at(5))
    await deliver(database, by(association, merged))
    experiment = (await all_experiments(database))[ISSUE]
    assert (experiment.started_at, experiment.first_signal_at) == (at(3), at(4))


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("association", STRANGERS)
async def test_the_links_and_keys_of_an_outsider_reach_no_other_project(
    database: Database, association: str, merged: bool
) -> None:
    ticket = Ticket(created_at=at(2)).created()
    pull = PullRequest(
        repository="acme/other",
        created_at=at(3),
        title="ML-12: answer",
        branch="ML-12-answer",
        body="Closes acme/app#45",
    )
    run = workflow_run(pull.head, at(4), "failure")
    delivery = pull.merged(at(5))[1] if merged else pull.opened()
    await deliver(database, ticket)
    before = (await all_experiments(database))["jira:ML-12"]
    experiment = await story(database, by(association, delivery), run)
    assert (experiment.started_at, experiment.first_signal_at) == (None, None)
    after = (await all_experiments(database))["jira:ML-12"]
    assert progress(after) == progress(before)
    reasons = {refusal.reason for refusal in (await explained(database, "github:acme/other!7")).refusals}
    channels = ("body", "branch", "title")
    assert reasons == {f"its {channel} links to another project, but an outsider wrote it" for channel in channels}


@pytest.mark.parametrize("association", [*INSIDERS, ""])
async def test_the_links_of_an_insider_reach_other_projects(database: Database, association: str) -> None:
    pull = PullRequest(repository="acme/other", created_at=at(3), body="Closes acme/app#45")
    experiment = await story(database, by(association, pull.opened()))
    assert experiment.started_at == at(3)


@pytest.mark.parametrize(
    ("association", "trusted", "counts"),
    [
        ("", "[]", False),
        ("", "github", True),
        ("CONTRIBUTOR", "github", False),
        ("MEMBER", "[]", True),
        ("COLLABORATOR", "[]", True),
    ],
)
async def test_a_fork_is_an_outsiders_unless_its_author_is_an_insider_or_the_rules_trust_forks(
    database: Database, association: str, trusted: str, counts: bool
) -> None:
    pull = PullRequest(created_at=at(3), fork="octo-dev/app")
    experiment = await story(database, by(association, pull.opened()), given=rules(f"trust_forks: {trusted}"))
    assert experiment.started_at == (at(3) if counts else None)


async def test_the_branch_of_an_outsiders_change_marks_no_experiment_until_the_merge(database: Database) -> None:
    pull = PullRequest(created_at=at(3), branch="exp/mine", body="", fork="octo-dev/app")
    await deliver(database, by("NONE", pull.opened()))
    assert await all_experiments(database) == {}
    told = await explained(database, "github:acme/app!7")
    assert told.why_not.startswith("its branch marks it, but it is the change of an outsider; merge it, or add a label")
    _, labelled = pull.labeled("experiment", at(4))
    await deliver(database, by("NONE", labelled))
    assert set(await all_experiments(database)) == {"github:acme/app!7"}


@pytest.mark.parametrize("home", ["acme/app", "acme/fork"])
async def test_an_outsiders_change_from_a_branch_of_others_neither_replaces_the_branch_nor_takes_its_evidence(
    database: Database, home: str
) -> None:
    branch = f"branch:{home}@exp/ours"
    await deliver(database, pushed("exp/ours", home))
    assert set(await all_experiments(database)) == {branch}
    pull = PullRequest(created_at=at(4), branch="exp/ours", body="", fork="" if home == "acme/app" else home)
    for delivery in (pull.opened(), pull.labeled("experiment", at(5))[1], pull.closed(at(6))[1]):
        await deliver(database, by("NONE", delivery))
        assert branch in await all_experiments(database)
        assert (await explained(database, branch)).serves == []
    await deliver(database, by("NONE", pull.merged(at(7))[1]))
    assert branch not in await all_experiments(database)


async def test_the_merge_request_of_a_fork_marks_and_starts_nothing_also_if_a_comment_is_the_first_that_is_known(
    database: Database,
) -> None:
    project = {"id": 1, "path_with_namespace": "acme/app", "web_url": "https://gitlab.example/acme/app"}
    merge = {
        "iid": 7,
        "created_at": zulu(at(3)),
        "source_branch": "exp/mine",
        "target": project,
        "source": None,
        "source_project_id": None,
        "target_project_id": 1,
    }
    commented = {
        "object_kind": "note",
        "project": project,
        "object_attributes": {"noteable_type": "MergeRequest", "note": "Nice.", "created_at": zulu(at(4))},
    }
    await deliver(database, request("gitlab", {**commented, "merge_request": merge}))
    assert await all_experiments(database) == {}
    own = {**merge, "iid": 8, "source_project_id": 1}
    await deliver(database, request("gitlab", {**commented, "merge_request": own}))
    assert set(await all_experiments(database)) == {"gitlab:acme/app!8"}


def pushed(branch: str, repository: str = "acme/app") -> Request:
    body = {
        "ref": f"refs/heads/{branch}",
        "after": "c" * 40,
        "created": True,
        "repository": {"full_name": repository, "default_branch": "main", "pushed_at": int(at(3).timestamp())},
        "commits": [{"id": "c" * 40, "message": "Begin", "timestamp": zulu(at(3))}],
    }
    return request("github", body, **{"x-github-event": "push", "x-github-delivery": branch})


@pytest.mark.parametrize("home", ["acme/app", "octo-dev/app"])
async def test_the_keys_in_a_run_of_a_fork_reach_no_ticket(database: Database, home: str) -> None:
    body: Mapping[str, object] = {
        "action": "completed",
        "repository": {"full_name": "acme/app"},
        "workflow_run": {
            "head_sha": "d" * 40,
            "updated_at": zulu(at(4)),
            "conclusion": "failure",
            "head_branch": "ML-12",
            "head_commit": {"message": "ML-12: mine"},
            "head_repository": {"full_name": home},
        },
    }
    run = request("github", body, **{"x-github-event": "workflow_run", "x-github-delivery": home})
    await deliver(database, Ticket(created_at=at(2)).created(), run)
    told = (await all_experiments(database))["jira:ML-12"]
    assert told.first_signal_at == (at(4) if home == "acme/app" else None)
