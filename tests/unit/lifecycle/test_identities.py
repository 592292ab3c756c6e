"""Ids and renames tell which names mean one subject: in any order, on several sites, and if a name is used again."""

from dataclasses import replace
from datetime import datetime
from itertools import permutations

import pytest

from service.lifecycle.aliases import Alias, Aliases
from service.lifecycle.identities import Holding, item_holder, project_holder
from service.lifecycle.qualification import Qualifier
from service.lifecycle.references import Ref, join_project, split_project
from tests.support.builders import at

APP, WEB, OLD = Ref("github:acme/app"), Ref("github:acme/web"), Ref("github:acme/old")
HERE, THERE = "github.com", "ghe.acme.com"


def held(identifier: str, name: str, first: int, last: int | None = None, site: str = HERE) -> Holding:
    """A project's name, seen from the day `first` to the day `last` of March."""
    holder = project_holder(name.partition(":")[0], site, identifier)
    assert holder is not None
    return Holding(holder, Ref(name), at(first), at(last or first).date())


def stored(identifier: str, rest: str, site: str = HERE, scheme: str = "github") -> Ref:
    return Ref(f"{scheme}:{{{site}/{identifier}}}{rest}")


def renamed(old: str, new: str, when: datetime) -> Alias:
    return Alias(Ref(old), Ref(new), when)


def shown(names: Aliases, subject: str, when: datetime | None = None, beside: str = "") -> str:
    return names.canonical(Ref(subject), when, beside)


def test_the_stored_name_of_a_project_with_one_name_is_shown_as_this_name() -> None:
    names = Aliases([], [held("1", APP, 2)])
    assert shown(names, stored("1", "#45")) == "github:acme/app#45"
    assert shown(names, "github:acme/app#45") == "github:acme/app#45"
    assert shown(names, "branch:{github.com/1}@exp/x") == "branch:acme/app@exp/x"
    assert {stored("1", "#45"), "github:acme/app#45"} <= names.names(Ref("github:acme/app#45"))


def test_a_known_id_with_a_new_name_is_a_rename() -> None:
    names = Aliases([], [held("1", APP, 2, 3), held("1", WEB, 4)])
    for subject in ("github:acme/app#45", "github:acme/web#45", stored("1", "#45")):
        assert shown(names, subject) == "github:acme/web#45"
    assert shown(names, "branch:acme/app@x") == "branch:acme/web@x"


def test_the_name_that_was_seen_last_is_the_newest() -> None:
    back = [held("1", APP, 2, 9), held("1", WEB, 4, 5)]
    assert shown(Aliases([], back), stored("1", "#45")) == "github:acme/app#45"


def test_a_rename_after_the_last_sighting_is_newer_than_it() -> None:
    seen = [held("1", APP, 2, 4)]
    assert shown(Aliases([renamed(APP, WEB, at(5))], seen), stored("1", "#45")) == "github:acme/web#45"
    # On the day of the last sighting, the rename counts as later.
    assert shown(Aliases([renamed(APP, WEB, at(4))], seen), stored("1", "#45")) == "github:acme/web#45"
    assert shown(Aliases([renamed(APP, WEB, at(3))], seen), stored("1", "#45")) == "github:acme/app#45"


def test_a_name_that_another_id_gets_is_another_subject() -> None:
    names = Aliases([], [held("1", APP, 2, 4), held("2", APP, 7)])
    assert shown(names, stored("1", "#45")) == "github:acme/app~1#45"
    assert shown(names, stored("2", "#45")) == "github:acme/app#45"
    assert shown(names, "github:acme/app#45") == "github:acme/app#45"
    assert names.meanings(Ref("github:acme/app#45")) == ["github:acme/app#45"]
    assert shown(names, "github:acme/app~1#45") == "github:acme/app~1#45"
    assert shown(names, "github:acme/app~2#45") == "github:acme/app#45"


def test_a_statement_under_a_reused_name_belongs_to_the_holder_at_its_time() -> None:
    names = Aliases([], [held("1", APP, 3, 4), held("2", APP, 7)])
    assert [shown(names, "github:acme/app#45", at(day)) for day in (2, 3, 6, 7, 9)] == [
        "github:acme/app~1#45",
        "github:acme/app~1#45",
        "github:acme/app~1#45",
        "github:acme/app#45",
        "github:acme/app#45",
    ]
    assert names.subjects(Ref("github:acme/app#45")) == {"github:acme/app~1#45", "github:acme/app#45"}


def test_a_freed_name_that_another_repository_takes_leads_to_this_repository() -> None:
    names = Aliases([], [held("1", APP, 2, 4), held("1", OLD, 5), held("2", APP, 6)])
    assert shown(names, stored("1", "#45")) == "github:acme/old#45"
    assert shown(names, stored("2", "#45")) == "github:acme/app#45"
    assert shown(names, "github:acme/app#45", at(3)) == "github:acme/old#45"


def test_a_rename_tells_who_held_a_name_before_the_first_sighting_of_its_next_holder() -> None:
    rename = renamed(APP, WEB, at(4))
    for holdings in ([held("2", APP, 6)], [held("2", APP, 6), held("1", WEB, 5)]):
        names = Aliases([rename], holdings)
        assert shown(names, "github:acme/app#45", at(3)) == "github:acme/web#45"
        assert shown(names, "github:acme/app#45", at(7)) == "github:acme/app#45"
        assert shown(names, stored("2", "#45")) == "github:acme/app#45"


def test_a_name_that_a_rename_gave_and_another_project_took_later_is_shown_with_the_id() -> None:
    names = Aliases([renamed(APP, WEB, at(4))], [held("1", APP, 2), held("3", WEB, 8)])
    assert shown(names, stored("1", "#45")) == "github:acme/web~1#45"
    assert shown(names, stored("3", "#45")) == "github:acme/web#45"


def test_a_rename_does_not_join_projects_with_different_ids() -> None:
    names = Aliases([renamed(APP, WEB, at(5))], [held("1", APP, 2), held("2", WEB, 3)])
    assert shown(names, stored("1", "#45")) == "github:acme/app#45"
    assert shown(names, stored("2", "#45")) == "github:acme/web#45"


def test_one_name_on_two_sites_means_two_subjects() -> None:
    names = Aliases([], [held("1", APP, 2), held("9", APP, 3, site=THERE)])
    assert shown(names, stored("1", "#45")) == "github:acme/app~github.com#45"
    assert shown(names, stored("9", "#45", THERE)) == "github:acme/app~ghe.acme.com#45"
    assert names.meanings(Ref("github:acme/app#45")) == [
        "github:acme/app~github.com#45",
        "github:acme/app~ghe.acme.com#45",
    ]
    for spelling in ("github:acme/app~ghe.acme.com#45", "github:acme/app~9#45", "github:acme/app~ghe.acme.com/9#45"):
        assert shown(names, spelling) == "github:acme/app~ghe.acme.com#45"


def test_a_name_that_two_sites_share_means_neither_unless_the_text_is_from_one_of_them() -> None:
    names = Aliases([], [held("1", APP, 2), held("9", APP, 3, site=THERE), held("8", WEB, 3, site=THERE)])
    assert shown(names, "github:acme/app#45", at(4)) == "github:acme/app#45"
    assert shown(names, "github:acme/app#45", at(4), stored("8", "!7", THERE)) == "github:acme/app~ghe.acme.com#45"
    assert shown(names, "github:acme/app#45", at(4), "commit:aaaa") == "github:acme/app#45"


def test_one_source_that_shows_an_id_and_its_name_on_two_hosts_posts_about_one_project() -> None:
    seen = [held("1", APP, 2), held("1", APP, 5, site=THERE), held("1", WEB, 7, site=THERE)]
    one = Aliases([], [replace(each, sources=frozenset({"github"})) for each in seen])
    assert {shown(one, stored("1", "#45", site)) for site in (HERE, THERE)} == {"github:acme/web#45"}
    assert {stored("1", "#45"), stored("1", "#45", THERE)} <= one.names(Ref("github:acme/web#45"))
    assert shown(one, "branch:{ghe.acme.com/1}@x") == "branch:acme/web@x"
    others = [replace(each, sources=frozenset({f"github_{number}"})) for number, each in enumerate(seen)]
    assert shown(Aliases([], others), stored("1", "#45")) == "github:acme/app~github.com#45"
    other_id = replace(held("2", APP, 2, site=THERE), sources=frozenset({"github"}))
    names = Aliases([], [replace(seen[0], sources=other_id.sources), other_id])
    assert shown(names, stored("1", "#45")) == "github:acme/app~github.com#45"


def test_the_qualifier_of_a_key_stands_after_its_number() -> None:
    cloud, own = "acme.atlassian.net", "jira.acme.com"
    names = Aliases([], [held("10000", "jira:ML", 2, site=cloud), held("10000", "jira:ML", 2, site=own)])
    assert shown(names, stored("10000", "-12", cloud, "jira")) == "jira:ML-12~acme.atlassian.net"
    assert shown(names, "jira:ML-12~jira.acme.com") == "jira:ML-12~jira.acme.com"
    assert names.meanings(Ref("jira:ML-12")) == ["jira:ML-12~acme.atlassian.net", "jira:ML-12~jira.acme.com"]


def test_a_former_holder_on_one_of_several_sites_is_shown_with_site_and_id() -> None:
    names = Aliases([], [held("1", APP, 2), held("2", APP, 5), held("9", APP, 3, site=THERE)])
    assert shown(names, stored("1", "#45")) == "github:acme/app~github.com/1#45"
    assert shown(names, stored("2", "#45")) == "github:acme/app~github.com#45"


def test_the_key_of_a_project_that_changed_renames_its_tickets() -> None:
    site = "acme.atlassian.net"
    names = Aliases([], [held("10000", "jira:ML", 2, site=site), held("10000", "jira:AI", 5, site=site)])
    assert shown(names, "jira:ML-12") == "jira:AI-12"


def test_a_ticket_keeps_its_id_when_it_moves_to_another_project() -> None:
    site = "acme.atlassian.net"
    item = item_holder("jira", site, "555")
    assert item is not None
    before, after = stored("10000", "-12", site, "jira"), stored("20000", "-7", site, "jira")
    projects = [held("10000", "jira:ML", 2, 9, site=site), held("20000", "jira:OPS", 2, 9, site=site)]
    moves = [Holding(item, before, at(3), at(3).date()), Holding(item, after, at(5), at(5).date())]
    for holdings in permutations([*projects, *moves]):
        names = Aliases([], holdings)
        assert shown(names, before) == shown(names, "jira:ML-12") == shown(names, after) == "jira:OPS-7"
        assert {before, after, "jira:ML-12", "jira:OPS-7"} <= names.names(Ref("jira:OPS-7"))
        assert shown(names, "jira:ML-13") == "jira:ML-13"


def test_the_order_of_renames_and_holdings_makes_no_difference() -> None:
    renames = [renamed(APP, WEB, at(4)), renamed(WEB, OLD, at(8))]
    holdings = [held("1", APP, 2, 3), held("1", WEB, 5), held("2", APP, 6, 9), held("3", WEB, 9)]
    outcomes = {
        tuple(shown(Aliases(some, others), stored(one, "#1")) for one in "123")
        for some in permutations(renames)
        for others in permutations(holdings)
    }
    assert outcomes == {("github:acme/old#1", "github:acme/app#1", "github:acme/web#1")}


def test_the_newest_name_of_a_project_replaces_its_former_names_in_derived_teams() -> None:
    names = Aliases([], [held("1", "github:acme/before", 2), held("1", "github:acme/after", 4)])
    assert names.renamed_teams(stored("1", "#1")) == {"acme/before": "acme/after"}
    assert names.renamed_teams(Ref("github:acme/other#1")) == {}


def test_the_qualified_name_means_the_subject_for_good() -> None:
    names = Aliases([], [held("1", APP, 2, 4), held("2", APP, 7)])
    assert names.qualified(Ref("github:acme/app#45")) == "github:acme/app~github.com/2#45"
    assert names.qualified(Ref("github:acme/none#45")) == "github:acme/none#45"
    assert Qualifier({}).subject(Ref("github:acme/app~github.com/2#45")) == stored("2", "#45")
    assert Qualifier({}).subject(Ref("jira:ML-12~acme.atlassian.net/10")) == "jira:{acme.atlassian.net/10}-12"


@pytest.mark.parametrize(
    ("site", "identifier"), [("", "1"), ("github.com", ""), ("github.com/x", "1"), ("Git Hub", "1"), ("a.com", "1}#")]
)
def test_an_id_without_a_site_or_of_an_unusual_form_identifies_nothing(site: str, identifier: str) -> None:
    assert project_holder("github", site, identifier) is None


@pytest.mark.parametrize(
    ("subject", "project", "rest"),
    [
        ("github:{github.com/4242}#45", "github:{github.com/4242}", "#45"),
        ("github:{ghe.acme.com:8443/1}!7", "github:{ghe.acme.com:8443/1}", "!7"),
        ("branch:{github.com/4242}@exp/x-1", "branch:{github.com/4242}", "@exp/x-1"),
        ("jira:{my-jira.acme.com/10000}-12", "jira:{my-jira.acme.com/10000}", "-12"),
        ("jira:ML-12~my-jira.acme.com", "jira:ML~my-jira.acme.com", "-12"),
        ("jira:ML-12~acme.atlassian.net/10000", "jira:ML~acme.atlassian.net/10000", "-12"),
        ("github:acme/app~ghe.acme.com#45", "github:acme/app~ghe.acme.com", "#45"),
        ("github:acme-1/app-2", "github:acme-1/app-2", ""),
    ],
)
def test_a_reference_is_split_into_its_project_and_the_rest(subject: str, project: str, rest: str) -> None:
    assert split_project(subject) == (project, rest)
    assert join_project(project, rest) == subject
