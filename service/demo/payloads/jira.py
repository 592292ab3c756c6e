"""Jira Cloud's webhooks. Source: "Webhooks" in Atlassian's documentation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.demo.post import ACCOUNT, Post, number_of, sha_of, written

_SITE = "https://acme.atlassian.net/rest/api/2"
_USER = {"accountId": "5b10a2844c20165700ede21g", "displayName": ACCOUNT, "active": True}
Status = tuple[str, str, str]
"""The id and name of a status, and the key of its category."""
TO_DO: Status = ("10000", "To Do", "new")
IN_PROGRESS: Status = ("3", "In Progress", "indeterminate")
DONE: Status = ("10002", "Done", "done")


@dataclass(slots=True, kw_only=True)
class Ticket:
    """A ticket and its current state."""

    key: str
    summary: str
    type: str
    created_at: datetime
    labels: list[str]
    component: str = ""
    status: Status = TO_DO
    resolution: str | None = None
    resolved_at: datetime | None = None
    category_changed_at: datetime | None = None

    def created(self) -> Post:
        return self.event("jira:issue_created", "issue_created", self.created_at)

    def labelled(self, labels: Sequence[str], at: datetime) -> Post:
        """Add labels to the ticket, and return the delivery for this change."""
        before = " ".join(self.labels)
        self.labels.extend(labels)
        return self._updated(at, [_change("labels", "", before, "", " ".join(self.labels))])

    def assigned(self, at: datetime) -> Post:
        return self._updated(at, [_change("assignee", "", "", _USER["accountId"], ACCOUNT)], "issue_assigned")

    def moved(self, to: Status, at: datetime, resolution: str | None = None) -> Post:
        """Change the status and the resolution, and return the delivery for this change."""
        changes = [_change("status", self.status[0], self.status[1], to[0], to[1])]
        if resolution != self.resolution:
            changes.append(_change("resolution", "", self.resolution or "", "10000", resolution or ""))
            self.resolution, self.resolved_at = resolution, at if resolution else None
        self.status, self.category_changed_at = to, at
        return self._updated(at, changes, "issue_generic")

    def commented(self, text: str, at: datetime) -> Post:
        """The delivery for a comment. Such a delivery contains few of the ticket's fields."""
        number = number_of(self.key, text, _stamp(at))
        comment = {
            "self": f"{_SITE}/issue/{number_of(self.key)}/comment/{number}",
            "id": str(number),
            "author": _USER,
            "body": text,
            "created": _stamp(at),
            "updated": _stamp(at),
        }
        fields = {name: self._fields()[name] for name in ("summary", "issuetype", "project", "status")}
        return _post(at, {"webhookEvent": "comment_created", "comment": comment, "issue": self._issue(fields)})

    def event(self, name: str, kind: str, at: datetime, changes: Sequence[Mapping[str, Any]] = ()) -> Post:
        """The delivery for an event, with the ticket's state after the event."""
        changelog = {"id": str(number_of(self.key, name, _stamp(at))), "items": list(changes)}
        fields = {**self._fields(), "updated": _stamp(at)}
        named = {"webhookEvent": name, "issue_event_type_name": kind, "user": _USER}
        return _post(at, {**named, "issue": self._issue(fields), "changelog": changelog})

    def _updated(self, at: datetime, changes: Sequence[Mapping[str, Any]], kind: str = "issue_updated") -> Post:
        return self.event("jira:issue_updated", kind, at, changes)

    def _issue(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        number = number_of(self.key)
        return {"id": str(number), "self": f"{_SITE}/issue/{number}", "key": self.key, "fields": fields}

    def _fields(self) -> dict[str, Any]:
        number, name, category = self.status
        return {
            "summary": self.summary,
            "issuetype": {"name": self.type, "subtask": False},
            "project": {"key": self.key.partition("-")[0], "name": self.component},
            "labels": list(self.labels),
            "components": [{"name": self.component}] if self.component else [],
            "status": {"id": number, "name": name, "statusCategory": {"key": category}},
            "resolution": {"name": self.resolution} if self.resolution else None,
            "resolutiondate": _stamp(self.resolved_at) if self.resolved_at else None,
            "statuscategorychangedate": _stamp(self.category_changed_at or self.created_at),
            "created": _stamp(self.created_at),
            "priority": {"name": "Medium"},
            "reporter": _USER,
        }


def sprint_started(name: str, at: datetime) -> Post:
    """A delivery about the start of a sprint, which loopgauge ignores."""
    sprint = {"id": number_of(name), "name": name, "state": "active", "startDate": _stamp(at)}
    return _post(at, {"webhookEvent": "sprint_started", "sprint": sprint})


def _change(field: str, old: str, old_text: str, new: object, new_text: str) -> dict[str, Any]:
    named = {"field": field, "fieldtype": "jira", "fieldId": field}
    return {**named, "from": old or None, "fromString": old_text, "to": new or None, "toString": new_text}


def _post(at: datetime, event: Mapping[str, Any]) -> Post:
    payload = {"timestamp": int(at.timestamp() * 1000), **event}
    # Jira's id of the delivery. A retry has the same id.
    identifier = sha_of("jira", payload)
    return written("jira", at, payload, x_atlassian_webhook_identifier=identifier)


def _stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
