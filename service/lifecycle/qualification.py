"""Qualification: the stored names of subjects whose project a delivery identifies.

`github:acme/app#45` becomes `github:{github.com/4242}#45`. It means this subject for good, even if the project gets
another name, and another project gets this one. Names that the delivery does not identify stay plain: those in texts,
in CloudEvents, and of other projects.
"""

from collections.abc import Mapping
from dataclasses import replace

from service.lifecycle.aliases import Alias
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import LinkSet
from service.lifecycle.identities import branches_of, has_branches, read_qualified
from service.lifecycle.references import Ref, join_project, split_project


class Qualifier:
    """Writes stored names.

    Args:
        holders: the stored name of each project that the delivery identifies, by plain name.
    """

    def __init__(self, holders: Mapping[Ref, Ref]) -> None:
        self._holders: dict[str, Ref] = dict(holders.items())
        self._holders |= {branches_of(name): branches_of(one) for name, one in holders.items() if has_branches(name)}

    def subject(self, subject: Ref) -> Ref:
        """The stored name of a subject, or its plain name if the delivery does not identify its project."""
        project, rest = split_project(subject)
        holder = self._holders.get(project)
        if holder is None and "~" in project:
            # A fully qualified name, such as github:acme/app~github.com/4242#45, contains the site and the id.
            holder = read_qualified(project)
        return join_project(holder, rest) if holder is not None else subject

    def event(self, event: LifecycleEvent) -> LifecycleEvent:
        """The event on the stored name of its subject."""
        stored = self.subject(event.subject)
        return event if stored == event.subject else replace(event, subject=stored)

    def link(self, link: LinkSet) -> LinkSet:
        """The links between stored names."""
        return LinkSet(
            evidence=self.subject(link.evidence),
            channel=link.channel,
            stated_by=self.subject(link.stated_by),
            targets=frozenset(map(self.subject, link.targets)),
            stated_at=link.stated_at,
        )

    def alias(self, alias: Alias) -> Alias:
        """The rename of a subject with stored names. The rename of a project tells its plain names, so it stays."""
        if not split_project(alias.old)[1]:
            return alias
        return replace(alias, old=self.subject(alias.old), new=self.subject(alias.new))
