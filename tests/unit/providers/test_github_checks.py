"""GitHub's checks and commit statuses, merge queues, and the triggers of workflow runs."""

from collections.abc import Sequence
from typing import Any

import pytest

from service.deliveries.observation import Identified, Linked, Mentioned, Nothing, Observation, Observed
from service.demo.post import zulu
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from tests.support.builders import at, github
from tests.support.observations import traits

HEAD, CHANGE = Ref("commit:" + "a" * 40), Ref("github:acme/app!104")
QUEUE = "gh-readonly-queue/main/pr-104-" + "b" * 40
SITE = "https://github.com/Acme/App"
KNOWN = Identified(Ref("github:acme/app"), "github.com", "1", at(3))
AZURE, ACTIONS = {"slug": "azure-pipelines", "name": "Azure Pipelines"}, {"slug": "github-actions", "name": "Actions"}


def read(event: str, payload: dict[str, Any]) -> Sequence[Observation] | Nothing:
    repository = {"full_name": "Acme/App", "id": 1, "html_url": SITE, "default_branch": "main"}
    return PROVIDERS["github"].observe(github(event, {"repository": repository, **payload}).delivery(at(9)))


def suite(action: str = "completed", **more: Any) -> Sequence[Observation] | Nothing:
    shown = {"head_sha": "A" * 40, "conclusion": "failure", "updated_at": zulu(at(3)), "app": AZURE, **more}
    return read("check_suite", {"action": action, "check_suite": shown})


def check(action: str = "completed", **more: Any) -> Sequence[Observation] | Nothing:
    shown = {"head_sha": "a" * 40, "name": "build", "conclusion": "success", "completed_at": zulu(at(3)), **more}
    return read("check_run", {"action": action, "check_run": shown})


def status(state: str = "success", **more: Any) -> Sequence[Observation] | Nothing:
    shown = {"sha": "a" * 40, "context": "ci/jenkins", "state": state, "updated_at": zulu(at(3)), **more}
    return read("status", shown)


def checked(**known: Any) -> Observed:
    return Observed("checked", HEAD, at(3), traits(**known))


def queue_links(observed: Sequence[Observation] | Nothing) -> list[Linked]:
    assert not isinstance(observed, Nothing), observed.reason
    return [one for one in observed if isinstance(one, Linked) and one.channel == "merge queue"]


def test_a_completed_check_suite_is_observed_with_the_names_of_its_app() -> None:
    names = ("azure-pipelines", "Azure Pipelines")
    assert suite(head_branch="b") == [checked(workflow=names, conclusion="failure", branch="b"), KNOWN]


def test_a_completed_check_is_observed_with_its_name_and_the_names_of_its_app() -> None:
    names = ("build", "azure-pipelines", "Azure Pipelines")
    assert check(app=AZURE, check_suite={"head_branch": "b"}) == [
        checked(workflow=names, conclusion="success", branch="b"),
        KNOWN,
    ]


@pytest.mark.parametrize("state", ["success", "failure", "error"])
def test_a_status_is_observed_with_its_context(state: str) -> None:
    branches = [{"name": "b"}, {"name": "c"}]
    known = checked(workflow="ci/jenkins", conclusion=state, branch=("b", "c"))
    assert status(state, branches=branches) == [known, KNOWN]


def test_a_status_without_the_time_of_its_update_has_the_time_of_its_creation() -> None:
    assert status(updated_at=None, created_at=zulu(at(3))) == [
        checked(workflow="ci/jenkins", conclusion="success"),
        KNOWN,
    ]


def test_a_check_with_the_required_fields_alone_can_be_read() -> None:
    shown = {"head_sha": "a" * 40, "completed_at": zulu(at(3))}
    assert read("check_run", {"action": "completed", "check_run": shown, "repository": None}) == [checked()]
    assert suite(app=None, conclusion=None) == [checked(), KNOWN]


@pytest.mark.parametrize("observed", [suite(app=ACTIONS), check(app=ACTIONS)])
def test_a_check_of_github_actions_is_ignored_because_its_workflow_run_counts(observed: object) -> None:
    assert observed == Nothing("a check of GitHub Actions is reported by `workflow_run` too", (KNOWN,))


@pytest.mark.parametrize("action", ["requested", "rerequested"])
def test_a_check_suite_that_is_not_completed_is_ignored(action: str) -> None:
    assert suite(action) == Nothing("a check suite that is not completed has no result yet")


@pytest.mark.parametrize("action", ["created", "rerequested", "requested_action"])
def test_a_check_that_is_not_completed_is_ignored(action: str) -> None:
    assert check(action) == Nothing("a check that is not completed has no result yet")


def test_a_status_that_is_pending_is_ignored() -> None:
    assert status("pending") == Nothing("a status that is pending is no result")


def test_a_check_without_a_commit_is_ignored() -> None:
    assert status(sha="0" * 40) == suite(head_sha="") == Nothing("the check names no commit", (KNOWN,))


@pytest.mark.parametrize(
    "observed",
    [
        suite(head_branch=QUEUE),
        check(check_suite={"head_branch": QUEUE}),
        status(branches=[{"name": "b"}, {"name": QUEUE}]),
        read("workflow_run", {"action": "completed", "workflow_run": {
            "head_sha": "a" * 40, "updated_at": zulu(at(3)), "head_branch": QUEUE, "event": "merge_group"}}),
        read("push", {"ref": f"refs/heads/{QUEUE}", "after": "a" * 40, "created": True, "head_commit": {
            "id": "a" * 40, "timestamp": zulu(at(3))}}),
        read("merge_group", {"action": "checks_requested", "merge_group": {
            "head_sha": "a" * 40, "head_ref": f"refs/heads/{QUEUE}", "head_commit": {"timestamp": zulu(at(3))}}}),
    ],
    ids=["check_suite", "check_run", "status", "workflow_run", "push", "merge_group"],
)  # fmt: skip
def test_a_commit_of_a_merge_queue_is_evidence_for_the_pull_request_that_its_branch_names(
    observed: Sequence[Observation] | Nothing,
) -> None:
    assert queue_links(observed) == [Linked(HEAD, "merge queue", CHANGE, frozenset({CHANGE}), at(3))]


@pytest.mark.parametrize(
    "branch",
    [
        "gh-readonly-queue/main/pr-104",
        "gh-readonly-queue/release/2026.3/pr-104-" + "b" * 40,
        "gh-readonly-queue/main/pr-104-" + "b" * 64,
    ],
)
def test_the_branch_of_a_merge_queue_may_have_many_forms(branch: str) -> None:
    assert [link.stated_by for link in queue_links(suite(head_branch=branch))] == [CHANGE]


@pytest.mark.parametrize("branch", ["exp/pr-104", "gh-readonly-queue/pr-104", "gh-readonly-queue/main/pr-x", ""])
def test_another_branch_names_no_pull_request(branch: str) -> None:
    assert queue_links(suite(head_branch=branch)) == []


@pytest.mark.parametrize("more", [{"created": True}, {"deleted": True, "after": "0" * 40}])
def test_the_branch_of_a_merge_queue_is_no_experiment(more: dict[str, Any]) -> None:
    head = {"id": "a" * 40, "timestamp": zulu(at(3))}
    observed = read("push", {"ref": f"refs/heads/{QUEUE}", "after": "a" * 40, "head_commit": head, **more})
    kinds = () if isinstance(observed, Nothing) else {one.kind for one in observed if isinstance(one, Observed)}
    assert not kinds


def test_the_number_in_the_branch_of_a_merge_queue_is_no_key_but_the_message_may_have_one() -> None:
    run = {"head_sha": "a" * 40, "updated_at": zulu(at(3)), "head_branch": QUEUE, "head_commit": {"message": "ML-12"}}
    observed = read("workflow_run", {"action": "completed", "workflow_run": run})
    assert not isinstance(observed, Nothing)
    mentions = [one for one in observed if isinstance(one, Mentioned)]
    assert mentions == [Mentioned(HEAD, "message", "ML-12", at(3))]


def test_a_fork_has_no_merge_queue() -> None:
    run = {"head_sha": "a" * 40, "updated_at": zulu(at(3)), "head_branch": QUEUE, "head_repository": None}
    assert queue_links(read("workflow_run", {"action": "completed", "workflow_run": run})) == []


@pytest.mark.parametrize("head_commit", [None, {}, {"timestamp": None}])
def test_a_merge_group_without_a_time_is_ignored(head_commit: object) -> None:
    group = {"head_sha": "a" * 40, "head_ref": f"refs/heads/{QUEUE}", "head_commit": head_commit}
    assert read("merge_group", {"action": "destroyed", "merge_group": group}) == Nothing(
        "the merge group names no time"
    )


def test_a_workflow_run_tells_what_triggered_it() -> None:
    run = {"head_sha": "a" * 40, "updated_at": zulu(at(3)), "event": "pull_request_target"}
    observed = read("workflow_run", {"action": "completed", "workflow_run": run})
    assert not isinstance(observed, Nothing)
    assert observed[0] == Observed("finished", HEAD, at(3), traits(trigger="pull_request_target"))
