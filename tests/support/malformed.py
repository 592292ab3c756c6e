"""Payloads with a missing or malformed field, for the tests of the contract that every provider must keep."""

from collections.abc import Iterator, Mapping, Sequence

from tests.support.provider_examples import MISSING, Changes, Example, changed

_UNDATED: Changes = {
    "timestamp": None,
    **{f"issue.fields.{name}": None for name in ("created", "updated", "resolutiondate", "statuscategorychangedate")},
}
_DONE_WITHOUT_A_CHANGE: Changes = {"issue.fields.status.statusCategory.key": "done", "changelog": None}
MALFORMED: Mapping[str, Mapping[str, Sequence[tuple[Changes, str]]]] = {
    "github": {
        "issues": [
            ({"action": MISSING}, "missing required field `action`"),
            ({"issue": MISSING}, "missing required field `issue`"),
            ({"repository": {}}, r"missing required field `full_name` - at `\$\.repository`"),
            ({"issue.created_at": MISSING, "issue.updated_at": None}, "missing required field `created_at`"),
            ({"issue.number": "#45"}, r"expected a whole number, got text - at `\$\.issue\.number`"),
            *(({"issue.number": wrong}, r"at `\$\.issue\.number`") for wrong in (-1, 10**30)),
            ({"issue.created_at": "yesterday"}, r"\$\.issue\.created_at"),
        ],
        "pull_request": [({"pull_request.head": {}}, r"`sha` - at `\$\.pull_request\.head`")],
        "check_run": [({"check_run": {}}, r"`head_sha` - at `\$\.check_run`")],
        "check_suite": [({"check_suite": MISSING}, "missing required field `check_suite`")],
        "status": [
            ({"sha": MISSING}, "missing required field `sha`"),
            ({"state": []}, r"expected text, got a list - at `\$\.state`"),
        ],
        "merge_group": [({"merge_group": {}}, r"`head_sha` - at `\$\.merge_group`")],
        "sub_issues": [({"action": MISSING}, "missing required field `action`")],
        "workflow_run": [({"workflow_run": {}}, r"`head_sha` - at `\$\.workflow_run`")],
        "issue_comment": [
            ({"comment": []}, r"expected an object, got a list - at `\$\.comment`"),
            ({"comment": MISSING}, "missing required field `comment`"),
        ],
        "repository": [({"repository": MISSING}, "missing required field `repository`")],
        "push": [
            ({"ref": MISSING}, "missing required field `ref`"),
            ({"after": MISSING}, "missing required field `after`"),
            ({"repository": MISSING}, "missing required field `repository`"),
            ({"repository": {}}, r"`full_name` - at `\$\.repository`"),
        ],
        "deployment_status": [
            ({"deployment": {}}, r"`sha` - at `\$\.deployment`"),
            ({"deployment_status": MISSING}, "missing required field `deployment_status`"),
            (
                {"deployment_status.created_at": MISSING, "deployment_status.updated_at": None},
                "missing required field `deployment_status.created_at`",
            ),
        ],
    },
    "jira": {
        "": [
            ({}, "webhookEvent"),
            ({"webhookEvent": None}, "webhookEvent"),
            ({"webhookEvent": "", "transition": None}, "webhookEvent"),
            ({"webhookEvent": "jira:issue_updated"}, "missing required field `issue`"),
            ({"transition": {"to_status": "Doing"}, "timestamp": 1, "issue": None}, r"\$\.issue"),
            ({"transition": {"to_status": "Doing"}, "issue": {"key": "ML-1"}}, "missing required field `timestamp`"),
        ],
        "jira:issue_updated": [
            ({"issue": {}}, r"missing required field `key` - at `\$\.issue`"),
            ({"issue.key": None}, r"\$\.issue\.key"),
            ({"issue.key": 12}, r"\$\.issue\.key"),
            (_UNDATED, "missing required field `timestamp`"),
            ({"timestamp": None, "issue.fields.updated": "x"}, r"\$\.issue\.fields\.updated"),
            *(({"timestamp": wrong}, r"\$\.timestamp") for wrong in (-1, 10**14 * 9, 10**400)),
            ({**_UNDATED, "timestamp": "soon"}, "missing required field `timestamp`"),
            ({"issue.fields.created": "yesterday"}, r"\$\.issue\.fields\.created"),
            ({"issue.fields.created": "0001-01-01T00:00:00.000+2359"}, "out of range"),
            ({**_DONE_WITHOUT_A_CHANGE, "issue.fields.resolutiondate": "-"}, r"\$\.issue\.fields\.resolutiondate"),
        ],
        "comment_created": [
            ({**_UNDATED, "comment": None}, "missing required field `timestamp`"),
            ({"comment.created": "now"}, r"\$\.comment\.created"),
        ],
    },
    "gitlab": {
        "": [
            ({}, "missing required field `object_kind`"),
            ({"object_kind": None, "event_name": ""}, "missing required field `object_kind`"),
            ({"object_kind": "issue"}, "missing required field `object_attributes`"),
            ({"object_kind": "deployment"}, "missing required field `status`"),
            ({"object_kind": "push"}, "missing required field `ref`"),
            ({"event_name": "project_rename"}, "missing required field `path_with_namespace`"),
            (
                {"event_name": "project_transfer", "path_with_namespace": "acme/app"},
                "missing required field `old_path_with_namespace`",
            ),
        ],
        "issue": [
            ({"object_attributes.iid": MISSING}, r"missing required field `iid` - at `\$\.object_attributes`"),
            (
                {"object_attributes.created_at": MISSING, "object_attributes.updated_at": None},
                "missing required field `object_attributes.created_at`",
            ),
            ({"object_attributes.iid": "!45"}, r"expected a whole number, got text - at `\$\.object_attributes\.iid`"),
            *(({"object_attributes.iid": wrong}, r"at `\$\.object_attributes\.iid`") for wrong in (-1, 10**30)),
            ({"object_attributes.created_at": "yesterday"}, r"at `\$\.object_attributes\.created_at`"),
            ({"object_attributes.updated_at": "2026-02-30 09:00:00 UTC"}, r"at `\$\.object_attributes\.updated_at`"),
            (
                {"object_attributes.closed_at": "soon", "object_attributes.state": "closed"},
                r"at `\$\.object_attributes\.closed_at`",
            ),
            ({"project": None}, r"`path_with_namespace` - at `\$\.project`"),
            ({"project": {"web_url": "http://["}}, r"`path_with_namespace` - at `\$\.project`"),
        ],
        "merge_request": [
            ({"object_attributes.iid": MISSING}, r"`iid` - at `\$\.object_attributes`"),
            ({"object_attributes.merged_at": "never"}, r"at `\$\.object_attributes\.merged_at`"),
        ],
        "note": [
            ({"issue": None}, "missing required field `issue`"),
            ({"object_attributes.noteable_type": "MergeRequest"}, "missing required field `merge_request`"),
            ({"issue.created_at": "x"}, r"at `\$\.issue\.created_at`"),
            ({"object_attributes.created_at": "x"}, r"at `\$\.object_attributes\.created_at`"),
        ],
        "pipeline": [
            ({"object_attributes.sha": MISSING}, r"`sha` - at `\$\.object_attributes`"),
            ({"object_attributes.status": MISSING}, r"`status` - at `\$\.object_attributes`"),
            ({"object_attributes.finished_at": "x"}, r"at `\$\.object_attributes\.finished_at`"),
        ],
        "deployment": [({"status_changed_at": "x"}, r"at `\$\.status_changed_at`")],
        "push": [
            ({"project": None}, r"`path_with_namespace` - at `\$\.project`"),
            ({"commits": [{"timestamp": "x"}]}, r"at `\$\.commits\[-1\]\.timestamp`"),
        ],
    },
    "circleci": {
        "": [
            ({}, r"the event's type is missing, .* at `\$\.type`"),
            ({"type": ""}, "the event's type is missing"),
            ({"type": None, "payload": None}, "the event's type is missing"),
            ({"type": "workflow-completed"}, "missing required field `workflow`"),
            ({"type": "workflow-completed", "workflow": None}, r"\$\.workflow"),
        ],
        "workflow-completed": [
            ({"workflow.stopped_at": "yesterday"}, r"\$\.workflow\.stopped_at"),
        ],
    },
    "buildkite": {
        "": [
            ({}, r"the event's name is missing, .* at `\$\.event`"),
            ({"event": None}, "the event's name is missing"),
            ({"event": "build.finished"}, "missing required field `build`"),
            ({"event": "build.finished", "build": None}, r"\$\.build"),
        ],
        "build.finished": [
            ({"build.finished_at": "yesterday"}, "expected a time - at `build.finished_at`"),
        ],
    },
    "jenkins": {
        "": [
            ({}, "missing required field `build`"),
            ({"name": "tests", "build": {}}, r"missing required field `phase` - at `\$\.build`"),
            ({"build": None}, r"\$\.build"),
            ({"build": {"phase": None}}, r"\$\.build\.phase"),
        ],
        "COMPLETED": [
            ({"build.timestamp": "yesterday"}, "expected a time - at `build.timestamp`"),
            *(
                ({"build.timestamp": wrong}, "out of range for a time - at `build.timestamp`")
                for wrong in (10**30, -(10**18))
            ),
        ],
    },
    # A CloudEvent has attributes in place of fields; the tests of CloudEvents check them in both content modes.
    "cloudevents": {},
}
"""For each provider and event, changes that make a valid payload malformed, and a pattern of the error for each.

If the name of the event is empty, the changes apply to an empty payload.
"""


def malformed(provider: str) -> Iterator[tuple[Example, str]]:
    """Each malformed delivery of a provider, with a pattern of the error that names the field."""
    for kind, cases in MALFORMED[provider].items():
        for changes, complaint in cases:
            yield changed(provider, kind, changes), complaint
