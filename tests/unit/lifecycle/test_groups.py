"""If a group is renamed, the projects below it are renamed with it."""

from datetime import datetime
from itertools import permutations

import pytest

from service.lifecycle.aliases import Alias, Aliases
from service.lifecycle.groups import renames_below
from service.lifecycle.identities import Holding
from service.lifecycle.references import Ref
from tests.support.builders import at

SECOND = at(2)
APP = Ref("gitlab:{gitlab.acme.example/15}")


def held(name: str, when: datetime = SECOND, holder: Ref = APP) -> Holding:
    return Holding(holder, Ref(f"gitlab:{name}"), when, when.date())


def renamed(old: str, new: str, when: datetime) -> Alias:
    return Alias(Ref(f"gitlab:{old}"), Ref(f"gitlab:{new}"), when)


def below(*renames: Alias, holdings: list[Holding]) -> set[tuple[str, str]]:
    found = renames_below([(one.old, one.new, one.renamed_at) for one in renames], holdings)
    return {(old, new) for old, new, _ in found if old.startswith("gitlab:")}


def test_a_renamed_group_gives_its_projects_new_names() -> None:
    group = renamed("old", "new", at(5))
    assert below(group, holdings=[held("old/app")]) == {("gitlab:old/app", "gitlab:new/app")}
    aliases = Aliases([group], [held("old/app")])
    for name in ("gitlab:old/app#8", "gitlab:new/app#8", f"{APP}#8"):
        assert aliases.canonical(Ref(name)) == "gitlab:new/app#8"
    assert aliases.canonical(Ref("gitlab:older/app#8")) == "gitlab:older/app#8"


def test_the_branches_of_its_projects_get_new_names_too() -> None:
    groups = [renamed("old", "new", at(5)), Alias(Ref("branch:old"), Ref("branch:new"), at(5))]
    aliases = Aliases(groups, [held("old/app")])
    assert aliases.canonical(Ref("branch:old/app@exp/a")) == "branch:new/app@exp/a"


def test_groups_that_are_renamed_one_after_the_other_and_at_two_levels_are_followed_in_any_order() -> None:
    groups = [renamed("a", "b", at(3)), renamed("b", "c", at(4)), renamed("c/tools", "c/kit", at(5))]
    for order in permutations(groups):
        aliases = Aliases(order, [held("a/tools/app")])
        assert aliases.canonical(Ref("gitlab:a/tools/app#8")) == "gitlab:c/kit/app#8"


@pytest.mark.parametrize(
    ("renames", "holdings"),
    [
        ([], [held("old/app"), held("other/app", at(4))]),
        ([renamed("old/app", "other/app", at(4))], [held("old/app")]),
    ],
)
def test_a_project_that_had_left_the_group_is_not_renamed_with_it(
    renames: list[Alias], holdings: list[Holding]
) -> None:
    aliases = Aliases([*renames, renamed("old", "new", at(5))], holdings)
    assert aliases.canonical(Ref("gitlab:old/app#8")) == "gitlab:other/app#8"


def test_a_project_that_came_to_the_name_of_the_group_later_is_not_renamed() -> None:
    other = Ref("gitlab:{gitlab.acme.example/16}")
    holdings = [held("old/app"), held("old/app", at(7), other)]
    aliases = Aliases([renamed("old", "new", at(5))], holdings)
    assert aliases.canonical(Ref(f"{APP}#8")) == "gitlab:new/app#8"
    assert aliases.canonical(Ref(f"{other}#8")) == "gitlab:old/app#8"


LC = Ref("jira:{acme.atlassian.net/10000}")


def test_a_key_in_small_letters_is_a_name_of_a_ticket_of_a_known_project() -> None:
    aliases = Aliases([], [Holding(LC, Ref("jira:LC"), at(3), at(3).date())])
    for name in ("jira:lc-12", "jira:LC-12", f"{LC}-12"):
        assert aliases.canonical(Ref(name)) == "jira:LC-12"
        assert aliases.canonical(Ref(name), at(1)) == "jira:LC-12"
    assert {"jira:lc-12", "jira:LC-12"} < aliases.names(Ref("jira:LC-12"))
    assert aliases.canonical(Ref("jira:utf-8")) == "jira:utf-8"


def test_a_former_key_in_small_letters_names_the_ticket_under_its_new_key() -> None:
    holdings = [Holding(LC, Ref(f"jira:{key}"), at(day), at(day).date()) for key, day in (("LC", 3), ("AI", 5))]
    assert Aliases([], holdings).canonical(Ref("jira:lc-12")) == "jira:AI-12"
    assert Aliases([], holdings).canonical(Ref("jira:ai-12")) == "jira:AI-12"


def test_a_key_in_small_letters_that_two_sites_have_names_no_ticket() -> None:
    other = Ref("jira:{jira.acme.example/7}")
    aliases = Aliases([], [Holding(holder, Ref("jira:LC"), at(3), at(3).date()) for holder in (LC, other)])
    assert aliases.canonical(Ref("jira:lc-12")) == "jira:lc-12"
    assert aliases.canonical(Ref("jira:lc-12"), beside=f"{LC}-1") == "jira:LC-12~acme.atlassian.net"
