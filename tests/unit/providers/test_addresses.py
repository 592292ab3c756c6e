"""Each provider reads the addresses of its pages, in the forms that browsers show."""

import base64
import json

import pytest

from service.providers import REFERENCES

SHA = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


def shown(**fields: object) -> str:
    """The parameter in the address of GitLab's list of issues that opens one issue beside the list."""
    return "show=" + base64.b64encode(json.dumps(fields).encode()).decode().replace("=", "%3D")


GITHUB = [
    ("https://github.com/acme/app/issues/45", "github:acme/app#45"),
    ("https://github.com/acme/app/issues/45/", "github:acme/app#45"),
    ("https://github.com/Acme/App/issues/45#issuecomment-2296619230", "github:acme/app#45"),
    ("https://github.com/acme/app/issues/45?notification_referrer_id=NT_1#event-2", "github:acme/app#45"),
    ("https://github.com/acme/app/pull/7", "github:acme/app!7"),
    ("https://github.com/acme/app/pull/7/files?w=1#diff-0", "github:acme/app!7"),
    ("https://github.com/acme/app/pull/7/commits", "github:acme/app!7"),
    ("https://github.com/acme/app/pull/7/checks?check_run_id=1", "github:acme/app!7"),
    (f"https://github.com/acme/app/pull/7/commits/{SHA}", f"commit:{SHA}"),
    (f"https://github.com/acme/app/commit/{SHA}", f"commit:{SHA}"),
    (f"https://github.com/acme/app/commit/{SHA.upper()}#r1", f"commit:{SHA}"),
    ("https://github.com/acme/app/tree/exp/cache", "branch:acme/app@exp/cache"),
    ("https://github.com/acme/app/tree/exp%2FCache", "branch:acme/app@exp/Cache"),
    ("https://github.com/acme/app/commits/main/", "branch:acme/app@main"),
    ("https://github.example.com/acme/app/issues/45", "github:acme/app#45"),
    ("https://acme.ghe.com/acme/app/issues/45", "github:acme/app#45"),
    ("https://code.example.com/acme/app/pull/7", "github:acme/app!7"),
    ("https://api.github.com/repos/acme/app/issues/45", "github:acme/app#45"),
    ("https://api.github.com/repos/acme/app/pulls/7", "github:acme/app!7"),
    ("https://github.example.com/api/v3/repos/acme/app/pulls/7", "github:acme/app!7"),
    ("https://github.com/orgs/acme/projects/1/views/2?pane=issue&itemId=9&issue=acme%7Capp%7C45", "github:acme/app#45"),
]
GITLAB = [
    ("https://gitlab.com/acme/app/-/issues/45", "gitlab:acme/app#45"),
    ("https://gitlab.com/Acme/Tools/App/-/issues/45#note_12", "gitlab:acme/tools/app#45"),
    ("https://gitlab.com/acme/app/-/issues/45/designs/a.png", "gitlab:acme/app#45"),
    ("https://gitlab.com/acme/app/-/issues/incident/45", "gitlab:acme/app#45"),
    ("https://gitlab.com/acme/app/-/work_items/45", "gitlab:acme/app#45"),
    (
        f"https://gitlab.com/acme/app/-/boards/3?{shown(iid='45', full_path='acme/app')}#note_1",
        "gitlab:acme/app#45",
    ),
    (f"https://gitlab.com/acme/app/-/work_items/44?{shown(iid='45', full_path='acme/app')}", "gitlab:acme/app#45"),
    ("https://gitlab.com/acme/app/-/issues/45?show=zzz#note_9", "gitlab:acme/app#45"),
    ("https://gitlab.com/acme/app/-/merge_requests/7", "gitlab:acme/app!7"),
    ("https://gitlab.com/acme/app/-/merge_requests/7/diffs?commit_id=1#note_1", "gitlab:acme/app!7"),
    (f"https://gitlab.com/acme/app/-/commit/{SHA}", f"commit:{SHA}"),
    ("https://gitlab.com/acme/app/-/tree/exp/cache?ref_type=heads", "branch:acme/app@exp/cache"),
    ("https://gitlab.com/acme/app/issues/45", "gitlab:acme/app#45"),
    ("https://gitlab.example.com/acme/app/merge_requests/7", "gitlab:acme/app!7"),
    ("https://code.example.com/acme/app/-/issues/45", "gitlab:acme/app#45"),
    ("https://code.example.com:8443/acme/app/-/issues/45", "gitlab:acme/app#45"),
    ("https://code.example.com/acme/tools/app/issues/45", "gitlab:acme/tools/app#45"),
    ("https://gitlab.com/api/v4/projects/acme%2Fapp/issues/45", "gitlab:acme/app#45"),
    ("https://host.example.com/gitlab/acme/app/-/issues/45", "gitlab:acme/app#45"),
    ("https://host.example.com/gitlab/acme/tools/app/-/merge_requests/7", "gitlab:acme/tools/app!7"),
    ("https://host.example.com/gitlab/acme/app/issues/45", "gitlab:acme/app#45"),
    ("https://host.example.com/gitlab/api/v4/projects/acme%2Fapp/issues/45", "gitlab:acme/app#45"),
    ("https://gitlab.com/gitlab/tools/app/-/issues/45", "gitlab:gitlab/tools/app#45"),
    (f"https://gitlab.com/acme/app/-/issues?{shown(iid='45', full_path='acme/app', id=9)}", "gitlab:acme/app#45"),
    (f"https://gitlab.com/groups/acme/-/issues?{shown(iid=45, full_path='Acme/App')}", "gitlab:acme/app#45"),
]
JIRA = [
    ("https://acme.atlassian.net/browse/ML-12", "jira:ML-12"),
    ("https://acme.atlassian.net/browse/ml-12?focusedCommentId=1#comment-1", "jira:ML-12"),
    ("https://tracker.example.com/jira/browse/ML-12/", "jira:ML-12"),
    ("https://acme.atlassian.net/jira/software/projects/ML/boards/1?selectedIssue=ML-12", "jira:ML-12"),
    ("https://acme.atlassian.net/jira/software/c/projects/ML/issues/ML-12?jql=project%3DML", "jira:ML-12"),
    ("https://acme.atlassian.net/issues/ML-12?filter=-1", "jira:ML-12"),
    ("https://jira.example.com/secure/RapidBoard.jspa?rapidView=1&selectedIssue=ML-12", "jira:ML-12"),
    ("https://jira.example.com/projects/ML/issues/ML-12?filter=allopenissues", "jira:ML-12"),
    ("https://acme.atlassian.net/servicedesk/customer/portal/2/HELP-12", "jira:HELP-12"),
    ("https://acme.atlassian.net/jira/servicedesk/projects/HELP/queues/custom/3/HELP-12", "jira:HELP-12"),
    ("https://acme.atlassian.net/rest/api/2/issue/ML-12", "jira:ML-12"),
]


@pytest.mark.parametrize(("address", "reference"), [*GITHUB, *GITLAB, *JIRA])
def test_the_address_of_a_page_means_its_subject(address: str, reference: str) -> None:
    assert REFERENCES.read(address).first == (reference,)
    assert REFERENCES.settle(address) == reference


def test_the_first_segment_of_an_address_on_gitlab_may_be_the_root_of_the_instance() -> None:
    reading = REFERENCES.read("https://host.example.com/scm/acme/app/-/issues/45")
    assert reading.first == ("gitlab:scm/acme/app#45",)
    assert "gitlab:acme/app#45" in reading.others
    assert "gitlab:gitlab/acme/app#45" in REFERENCES.read("https://host.example.com/gitlab/acme/app/-/issues/45").others


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/acme/app",
        "https://github.com/acme/app/issues",
        "https://github.com/acme/app/issues/new",
        "https://github.com/acme/app/actions/runs/9",
        "https://github.com/acme/app/discussions/9",
        "https://github.com/acme/app/commit/main",
        "https://github.com/a%20b/app/issues/45",
        "https://github.com/orgs/acme/projects/1?issue=acme%7Capp",
        "https://gitlab.com/acme/app",
        "https://gitlab.com/acme/app/-/pipelines/9",
        "https://gitlab.com/groups/acme/-/epics/3",
        "https://gitlab.com/acme/-/issues/45",
        "https://gitlab.com/acme/app/-/issues?show=bm8ganNvbg",
        "https://gitlab.com/acme/app/-/issues?show=%C3%A9",
        "https://acme.atlassian.net/browse/ML",
        "https://acme.atlassian.net/jira/software/projects/ML/boards/1",
        "https://acme.atlassian.net/rest/api/2/issue/10042",
        "https://buildkite.com/acme/app/builds/9",
        "https://app.circleci.com/pipelines/github/acme/app/9",
        "https://jenkins.example.com/job/app/9/",
    ],
)
def test_the_address_of_any_other_page_means_no_subject_of_a_provider(address: str) -> None:
    assert REFERENCES.read(address).is_unknown_page


def test_the_address_of_an_issue_on_github_may_mean_the_pull_request_with_this_number() -> None:
    assert REFERENCES.read("https://github.com/acme/app/issues/7").others[0] == "github:acme/app!7"
    assert REFERENCES.read("https://github.com/acme/app/pull/7").others[0] == "github:acme/app#7"


def test_a_path_may_follow_the_name_of_a_branch() -> None:
    reading = REFERENCES.read("https://github.com/acme/app/tree/exp/cache/docs")
    assert [*reading.first, *reading.others[:2]] == [
        *("branch:acme/app@exp/cache/docs", "branch:acme/app@exp/cache", "branch:acme/app@exp")
    ]
