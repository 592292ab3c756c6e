"""Projects and groups that are deleted, restored, archived and unarchived, with everything in them. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from service.deliveries.decoding import traits
from service.deliveries.observation import Observed
from service.lifecycle.references import Ref

What = Literal["project", "group"]
Happened = Literal["deleted", "restored", "archived", "unarchived"]


def happened_to(what: What, name: str, kind: Happened, at: datetime, *subjects: Ref) -> Sequence[Observed]:
    """The observations about a whole project or group.

    Args:
        subjects: the project of its items and changes, and the project of its branches.
    """
    return [Observed(kind, subject, at, traits({"what": what, "project": name})) for subject in subjects]
