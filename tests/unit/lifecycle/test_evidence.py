"""Subjects have references and aliases, and the links between subjects form a graph."""

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.aliases import Alias, Aliases
from service.lifecycle.errors import BadReference
from service.lifecycle.evidence import Graph
from service.lifecycle.references import (
    Ref,
    branch,
    branches,
    change,
    commit,
    experiment_id,
    item,
    project,
)
from service.lifecycle.roots import Components
from service.providers import REFERENCES
from tests.support.builders import at

ITEM, OTHER_ITEM = Ref("github:acme/app#45"), Ref("github:acme/app#46")
CHANGE, OTHER_CHANGE = Ref("github:acme/app!7"), Ref("github:acme/app!8")
COMMIT = Ref("commit:abc")


def marked(*subjects: Ref) -> frozenset[Ref]:
    return frozenset(subjects)


def test_the_reference_of_an_item_is_its_provider_its_project_in_lower_case_and_its_number() -> None:
    assert item("github", "Acme/App", 45) == "github:acme/app#45"


def test_a_change_and_an_item_with_the_same_number_are_two_subjects() -> None:
    assert change("github", "Acme/App", 45) == "github:acme/app!45"


def test_the_reference_of_a_commit_is_its_hash_in_lower_case() -> None:
    assert commit("ABCdef") == "commit:abcdef"


@pytest.mark.parametrize("text", ["github:acme/app#45", "github:acme/app!7", "commit:abc", "key:ML-12"])
def test_a_valid_reference_is_parsed_unchanged(text: str) -> None:
    assert REFERENCES.parse(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "acme/app#45", "github:", ":acme", "GitHub:acme/app#45", "key:two words", "key:a\n", " key:a", "1key:a"],
)
def test_a_text_that_is_not_a_reference_is_refused_and_the_error_shows_a_valid_form(text: str) -> None:
    with pytest.raises(BadReference, match="expected a form such as github:acme/app#45"):
        REFERENCES.parse(text)


def test_the_id_of_an_experiment_never_changes() -> None:
    assert experiment_id(ITEM) == UUID("36aeaa1b-75b3-55d0-a416-c9a9e568c6e1")
    assert experiment_id(ITEM).version == 5


def test_different_roots_have_different_experiment_ids() -> None:
    assert experiment_id(ITEM) != experiment_id(OTHER_ITEM)


def test_a_commit_serves_its_change_and_through_the_change_the_item() -> None:
    graph = Graph.of([(COMMIT, CHANGE), (CHANGE, ITEM)])
    assert graph.ancestors(COMMIT) == {CHANGE, ITEM}
    assert graph.ancestors(CHANGE) == {ITEM}
    assert graph.ancestors(ITEM) == set()


def test_an_item_is_served_by_its_changes_and_by_their_commits() -> None:
    graph = Graph.of([(COMMIT, CHANGE), (CHANGE, ITEM), (OTHER_CHANGE, ITEM)])
    assert graph.descendants(ITEM) == {CHANGE, OTHER_CHANGE, COMMIT}
    assert graph.descendants(CHANGE) == {COMMIT}
    assert graph.descendants(COMMIT) == set()


def test_one_commit_may_serve_several_changes_and_one_change_several_items() -> None:
    graph = Graph.of([(COMMIT, CHANGE), (COMMIT, OTHER_CHANGE), (CHANGE, ITEM), (CHANGE, OTHER_ITEM)])
    assert graph.ancestors(COMMIT) == {CHANGE, OTHER_CHANGE, ITEM, OTHER_ITEM}
    assert graph.descendants(OTHER_ITEM) == {CHANGE, COMMIT}


def test_a_subject_without_links_has_no_ancestors_and_no_descendants() -> None:
    graph = Graph.of([(CHANGE, ITEM)])
    assert graph.ancestors(OTHER_ITEM) == set()
    assert graph.descendants(OTHER_ITEM) == set()


def test_a_subject_in_a_cycle_is_neither_its_own_ancestor_nor_its_own_descendant() -> None:
    graph = Graph.of([(ITEM, CHANGE), (CHANGE, OTHER_ITEM), (OTHER_ITEM, ITEM)])
    assert graph.ancestors(ITEM) == {CHANGE, OTHER_ITEM}
    assert graph.descendants(ITEM) == {CHANGE, OTHER_ITEM}


def test_a_link_from_a_subject_to_itself_is_ignored() -> None:
    graph = Graph.of([(ITEM, ITEM)])
    assert graph.ancestors(ITEM) == set()
    assert Components(graph, marked(ITEM)).is_root(ITEM)


def test_a_subject_without_links_is_a_root_if_and_only_if_it_is_marked() -> None:
    graph = Graph.of([])
    assert Components(graph, marked(ITEM)).is_root(ITEM)
    assert not Components(graph, marked(OTHER_ITEM)).is_root(ITEM)


def test_a_marked_change_that_serves_a_marked_item_is_not_a_root() -> None:
    graph = Graph.of([(CHANGE, ITEM)])
    assert not Components(graph, marked(CHANGE, ITEM)).is_root(CHANGE)
    assert Components(graph, marked(CHANGE, ITEM)).is_root(ITEM)


def test_a_marked_change_that_serves_an_unmarked_item_is_a_root() -> None:
    assert Components(Graph.of([(CHANGE, ITEM)]), marked(CHANGE)).is_root(CHANGE)


def test_a_subject_with_a_marked_ancestor_at_any_distance_is_not_a_root() -> None:
    graph = Graph.of([(COMMIT, CHANGE), (CHANGE, ITEM)])
    assert not Components(graph, marked(COMMIT, ITEM)).is_root(COMMIT)


def test_two_marked_items_that_the_same_change_serves_are_two_roots() -> None:
    graph = Graph.of([(CHANGE, ITEM), (CHANGE, OTHER_ITEM)])
    both = marked(ITEM, OTHER_ITEM)
    assert Components(graph, both).is_root(ITEM)
    assert Components(graph, both).is_root(OTHER_ITEM)


def test_the_alphabetically_first_marked_subject_of_a_cycle_is_the_root() -> None:
    graph = Graph.of([(ITEM, OTHER_ITEM), (OTHER_ITEM, ITEM)])
    both = marked(ITEM, OTHER_ITEM)
    assert Components(graph, both).is_root(ITEM)
    assert not Components(graph, both).is_root(OTHER_ITEM)


def test_no_subject_of_a_cycle_that_serves_a_marked_item_is_a_root() -> None:
    graph = Graph.of([(CHANGE, OTHER_CHANGE), (OTHER_CHANGE, CHANGE), (OTHER_CHANGE, ITEM)])
    every = marked(CHANGE, OTHER_CHANGE, ITEM)
    assert [subject for subject in sorted(every) if Components(graph, every).is_root(subject)] == [ITEM]


SUBJECTS = st.sampled_from([Ref(f"key:{name}") for name in "abcdef"])
LINKS = st.lists(st.tuples(SUBJECTS, SUBJECTS), max_size=12)


@given(st.data(), LINKS)
def test_neither_the_order_nor_duplicates_of_the_links_change_the_graph(
    data: st.DataObject, links: list[tuple[Ref, Ref]]
) -> None:
    again = data.draw(st.permutations([*links, *links[:3]]))
    assert Graph.of(again) == Graph.of(links)


@given(LINKS, SUBJECTS, SUBJECTS)
def test_a_subject_is_an_ancestor_of_each_of_its_descendants_and_of_no_other_subject(
    links: list[tuple[Ref, Ref]], one: Ref, other: Ref
) -> None:
    graph = Graph.of(links)
    assert (one in graph.ancestors(other)) == (other in graph.descendants(one))


@given(LINKS, st.frozensets(SUBJECTS, min_size=1))
def test_every_marked_subject_is_a_root_or_serves_a_root(links: list[tuple[Ref, Ref]], some: frozenset[Ref]) -> None:
    graph = Graph.of(links)
    roots = {subject for subject in some if Components(graph, some).is_root(subject)}
    assert all(subject in roots or graph.ancestors(subject) & roots for subject in some)


@given(LINKS, st.frozensets(SUBJECTS))
def test_the_components_agree_with_the_ancestors_and_descendants_of_each_subject(
    links: list[tuple[Ref, Ref]], some: frozenset[Ref]
) -> None:
    graph = Graph.of(links)
    components = Components(graph, some)
    for one in map(Ref, ("key:a", "key:b", "key:c", "key:d", "key:e", "key:f")):
        above, below = graph.ancestors(one) & some, graph.descendants(one)
        is_first = above <= below and all(one < other for other in above)
        assert components.is_root(one) == (one in some and is_first)
        assert components.has_marked_ancestor(one) == bool(above)
        is_evidence = components.evidence_of(one)
        assert {other for other in {*graph.upwards, *graph.downwards, one} if is_evidence(other)} == below | {one}


def test_a_chain_of_ten_thousand_links_has_one_root() -> None:
    chain = [Ref(f"key:{number:05}") for number in range(10_001)]
    components = Components(Graph.of(pairwise(chain)), chain)
    assert [subject for subject in chain if components.is_root(subject)] == [chain[-1]]


APP, WEB, LAB = project("github", "acme/app"), project("github", "acme/web"), project("github", "acme/lab")


def app(number: int) -> Ref:
    return item("github", "acme/app", number)


def web(number: int) -> Ref:
    return item("github", "acme/web", number)


def lab(number: int) -> Ref:
    return item("github", "acme/lab", number)


def renamed(old: str, new: str, day: int = 1) -> Alias:
    return Alias(Ref(old), Ref(new), at(day))


def test_a_reference_begins_with_the_name_of_its_project() -> None:
    assert item("github", "Acme/App", 45) == f"{project('github', 'ACME/app')}#45"
    assert branch("Acme/App", "Exp/Cache") == f"{branches('ACME/app')}@Exp/Cache" == "branch:acme/app@Exp/Cache"


@pytest.mark.parametrize("subject", [app(1), APP, COMMIT, CHANGE, branch("acme/app", "a#1"), Ref("jira:ML-12")])
def test_a_subject_has_only_its_own_name_if_there_are_no_aliases(subject: Ref) -> None:
    assert Aliases([]).canonical(subject) == subject
    assert Aliases([]).names(subject) == {subject}


def test_a_transferred_subject_has_a_new_name_and_other_subjects_keep_their_names() -> None:
    aliases = Aliases([renamed(app(1), web(9))])
    assert aliases.canonical(app(1)) == aliases.canonical(web(9)) == web(9)
    assert aliases.names(app(1)) == aliases.names(web(9)) == {app(1), web(9)}
    for neighbour in (app(2), app(11), web(1), change("github", "acme/app", 1)):
        assert aliases.canonical(neighbour) == neighbour
        assert aliases.names(neighbour) == {neighbour}


@pytest.mark.parametrize("rest", ["#1", "#99", "!7"])
def test_all_items_and_changes_of_a_renamed_project_have_new_names(rest: str) -> None:
    aliases = Aliases([renamed(APP, WEB)])
    assert aliases.canonical(Ref(APP + rest)) == WEB + rest
    assert aliases.names(Ref(WEB + rest)) == {APP + rest, WEB + rest}


def test_renaming_a_project_does_not_rename_projects_with_similar_names() -> None:
    aliases = Aliases([renamed(APP, WEB)])
    for other in ("github:acme/app2#1", "github:acme/app-2#1", "github:acme/ap#1", "gitlab:acme/app#1", "key:acme/app"):
        assert aliases.canonical(Ref(other)) == other


@pytest.mark.parametrize("name", ["main", "exp/cache", "fix#1", "fix!1", "a@b", "ML-12"])
def test_the_branches_of_a_renamed_project_have_new_names(name: str) -> None:
    aliases = Aliases([renamed(branches("acme/app"), branches("acme/web"))])
    assert aliases.canonical(branch("acme/app", name)) == branch("acme/web", name)
    assert aliases.names(branch("acme/web", name)) == {branch("acme/app", name), branch("acme/web", name)}


def test_the_canonical_name_after_several_transfers_is_the_last_name() -> None:
    aliases = Aliases([renamed(app(1), web(9), 1), renamed(web(9), lab(3), 2)])
    for name in (app(1), web(9), lab(3)):
        assert aliases.canonical(name) == lab(3)
        assert aliases.names(name) == {app(1), web(9), lab(3)}


def test_the_canonical_name_after_several_renames_of_a_project_begins_with_the_last_name_of_the_project() -> None:
    aliases = Aliases([renamed(WEB, LAB, 2), renamed(APP, WEB, 1)])
    for name in (app(1), web(1), lab(1)):
        assert aliases.canonical(name) == lab(1)
        assert aliases.names(name) == {app(1), web(1), lab(1)}


@pytest.mark.parametrize(("transferred_on", "renamed_on"), [(1, 2), (2, 1), (1, 1)])
def test_a_transfer_into_a_renamed_project_is_followed_whether_the_transfer_or_the_rename_came_first(
    transferred_on: int, renamed_on: int
) -> None:
    aliases = Aliases([renamed(app(1), web(9), transferred_on), renamed(WEB, LAB, renamed_on)])
    for name in (app(1), web(9), lab(9)):
        assert aliases.canonical(name) == lab(9)
        assert aliases.names(name) == {app(1), web(9), lab(9)}


@pytest.mark.parametrize(("transferred_on", "renamed_on"), [(1, 2), (2, 1), (1, 1)])
def test_a_transfer_out_of_a_renamed_project_is_followed_whether_the_transfer_or_the_rename_came_first(
    transferred_on: int, renamed_on: int
) -> None:
    aliases = Aliases([renamed(app(1), lab(9), transferred_on), renamed(APP, WEB, renamed_on)])
    for name in (app(1), web(1), lab(9)):
        assert aliases.canonical(name) == lab(9)
        assert aliases.names(name) == {app(1), web(1), lab(9)}
    assert aliases.canonical(app(2)) == web(2)


def test_a_project_that_is_renamed_back_has_its_first_name_again() -> None:
    aliases = Aliases([renamed(APP, WEB, 1), renamed(WEB, APP, 2)])
    assert aliases.canonical(app(1)) == aliases.canonical(web(1)) == app(1)
    assert aliases.names(app(1)) == {app(1), web(1)}


def test_a_subject_that_is_transferred_back_and_forth_has_its_last_name() -> None:
    back = [renamed(app(1), web(9), 1), renamed(web(9), app(1), 2)]
    assert Aliases(back).canonical(web(9)) == app(1)
    assert Aliases([*back, renamed(app(1), web(9), 3)]).canonical(app(1)) == web(9)


def test_a_moved_ticket_has_a_new_key_and_other_tickets_keep_their_keys() -> None:
    aliases = Aliases([renamed("jira:ML-12", "jira:OPS-3")])
    assert aliases.canonical(Ref("jira:ML-12")) == "jira:OPS-3"
    assert aliases.names(Ref("jira:OPS-3")) == {"jira:ML-12", "jira:OPS-3"}
    for neighbour in ("jira:ML-1", "jira:ML-123", "jira:OPS-12", "jira:XML-12"):
        assert aliases.canonical(Ref(neighbour)) == neighbour


def test_all_tickets_of_a_renamed_project_have_new_keys() -> None:
    aliases = Aliases([renamed("jira:ML", "jira:AI", 2), renamed("jira:OPS-3", "jira:ML-12", 1)])
    assert aliases.canonical(Ref("jira:ML-7")) == "jira:AI-7"
    assert aliases.canonical(Ref("jira:OPS-3")) == "jira:AI-12"
    assert aliases.names(Ref("jira:AI-12")) == {"jira:OPS-3", "jira:ML-12", "jira:AI-12"}
    assert aliases.canonical(Ref("jira:MLX-7")) == "jira:MLX-7"


def test_a_project_whose_name_ends_in_a_number_is_renamed_like_any_other() -> None:
    numbered, other = project("github", "acme/app-2"), project("github", "acme/app-3")
    aliases = Aliases([renamed(numbered, other)])
    assert aliases.canonical(item("github", "acme/app-2", 45)) == item("github", "acme/app-3", 45)
    assert aliases.names(change("github", "acme/app-3", 7)) == {f"{numbered}!7", f"{other}!7"}
    assert aliases.canonical(app(45)) == app(45)


def test_a_project_may_be_renamed_to_a_name_that_ends_in_a_number() -> None:
    aliases = Aliases([renamed(APP, "github:acme/app-2", 1), renamed("github:acme/app-2#45", lab(3), 2)])
    assert aliases.canonical(app(45)) == lab(3)
    assert aliases.canonical(app(46)) == "github:acme/app-2#46"


PROJECTS = [project("github", f"acme/{name}") for name in ("a", "a-2", "b")]
NAMES = [Ref(f"{one}{rest}") for one in PROJECTS for rest in ("#1", "#2", "!1")]
RENAMES = st.tuples(st.sampled_from(PROJECTS), st.sampled_from(PROJECTS)) | st.tuples(
    st.sampled_from(NAMES), st.sampled_from(NAMES)
)
ALIASES = st.lists(st.builds(lambda pair, day: renamed(pair[0], pair[1], day), RENAMES, st.integers(1, 4)), max_size=6)


@given(st.data(), ALIASES)
def test_neither_the_order_nor_duplicates_of_the_aliases_change_the_names(
    data: st.DataObject, aliases: list[Alias]
) -> None:
    known, again = Aliases(aliases), Aliases(data.draw(st.permutations([*aliases, *aliases[:2]])))
    assert [known.canonical(name) for name in NAMES] == [again.canonical(name) for name in NAMES]
    assert [known.names(name) for name in NAMES] == [again.names(name) for name in NAMES]


@given(ALIASES, st.sampled_from(NAMES))
def test_the_canonical_name_of_a_canonical_name_is_the_name_itself(aliases: list[Alias], name: Ref) -> None:
    known = Aliases(aliases)
    newest = known.canonical(name)
    assert known.canonical(newest) == newest
    assert {name, newest} <= known.names(name)


@given(ALIASES, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_two_names_have_the_same_canonical_name_exactly_if_they_are_names_of_the_same_subject(
    aliases: list[Alias], one: Ref, other: Ref
) -> None:
    known = Aliases(aliases)
    same = known.canonical(one) == known.canonical(other)
    assert (other in known.names(one)) == (one in known.names(other)) == same
    assert (known.names(one) == known.names(other)) == same


@given(ALIASES)
def test_the_old_and_the_new_name_of_an_alias_have_the_same_canonical_name(aliases: list[Alias]) -> None:
    known = Aliases(aliases)
    subjects = [alias for alias in aliases if alias.old not in PROJECTS]
    assert all(known.canonical(alias.old) == known.canonical(alias.new) for alias in subjects)
    for alias in aliases:
        if alias.old in PROJECTS:
            assert known.canonical(Ref(f"{alias.old}#5")) == known.canonical(Ref(f"{alias.new}#5"))


@pytest.mark.parametrize(
    "text", ["github:acme/app", "gitlab:acme/app#", "github:acme/app#x", "jira:12", "jira:ML", "branch:acme/app"]
)
def test_an_incomplete_reference_is_refused_and_the_error_shows_the_complete_form(text: str) -> None:
    with pytest.raises(BadReference, match=r"expected (github|gitlab|jira|branch):"):
        REFERENCES.parse(text)
