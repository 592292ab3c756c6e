"""References, and which subjects serve which."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.errors import BadReference
from service.lifecycle.evidence import Graph, Ref, change, commit, experiment_id, item, parse_reference

ITEM, OTHER_ITEM = Ref("github:acme/app#45"), Ref("github:acme/app#46")
CHANGE, OTHER_CHANGE = Ref("github:acme/app!7"), Ref("github:acme/app!8")
COMMIT = Ref("commit:abc")


def marked(*subjects: Ref) -> frozenset[Ref]:
    return frozenset(subjects)


def test_an_item_is_named_by_its_provider_its_project_without_case_and_its_number() -> None:
    assert item("github", "Acme/App", 45) == "github:acme/app#45"


def test_a_change_with_the_number_of_an_item_is_another_subject() -> None:
    assert change("github", "Acme/App", 45) == "github:acme/app!45"


def test_a_commit_is_named_by_its_hash_without_case() -> None:
    assert commit("ABCdef") == "commit:abcdef"


@pytest.mark.parametrize("text", ["github:acme/app#45", "github:acme/app!7", "commit:abc", "key:ML-12"])
def test_a_text_that_spells_a_reference_is_that_reference(text: str) -> None:
    assert parse_reference(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "acme/app#45", "github:", ":acme", "GitHub:acme/app#45", "key:two words", "key:a\n", " key:a", "1key:a"],
)
def test_a_text_that_spells_no_reference_is_refused_with_the_form_that_is_expected(text: str) -> None:
    with pytest.raises(BadReference, match="expected a form such as github:acme/app#45"):
        parse_reference(text)


def test_the_id_of_an_experiment_never_changes() -> None:
    assert experiment_id(ITEM) == UUID("36aeaa1b-75b3-55d0-a416-c9a9e568c6e1")
    assert experiment_id(ITEM).version == 5


def test_two_roots_have_two_ids() -> None:
    assert experiment_id(ITEM) != experiment_id(OTHER_ITEM)


def test_a_commit_serves_its_change_and_through_it_the_item() -> None:
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


def test_a_subject_without_links_stands_alone() -> None:
    graph = Graph.of([(CHANGE, ITEM)])
    assert graph.ancestors(OTHER_ITEM) == set()
    assert graph.descendants(OTHER_ITEM) == set()


def test_a_circle_of_links_comes_to_an_end_and_leaves_the_subject_itself_out() -> None:
    graph = Graph.of([(ITEM, CHANGE), (CHANGE, OTHER_ITEM), (OTHER_ITEM, ITEM)])
    assert graph.ancestors(ITEM) == {CHANGE, OTHER_ITEM}
    assert graph.descendants(ITEM) == {CHANGE, OTHER_ITEM}


def test_a_subject_that_names_itself_does_not_serve_itself() -> None:
    graph = Graph.of([(ITEM, ITEM)])
    assert graph.ancestors(ITEM) == set()
    assert graph.is_root(ITEM, marked(ITEM))


def test_a_marked_subject_alone_is_a_root_and_an_unmarked_one_is_not() -> None:
    graph = Graph.of([])
    assert graph.is_root(ITEM, marked(ITEM))
    assert not graph.is_root(ITEM, marked(OTHER_ITEM))


def test_a_marked_change_that_serves_a_marked_item_is_its_evidence_and_no_root() -> None:
    graph = Graph.of([(CHANGE, ITEM)])
    assert not graph.is_root(CHANGE, marked(CHANGE, ITEM))
    assert graph.is_root(ITEM, marked(CHANGE, ITEM))


def test_a_marked_change_that_serves_an_unmarked_item_is_a_root() -> None:
    assert Graph.of([(CHANGE, ITEM)]).is_root(CHANGE, marked(CHANGE))


def test_a_marked_ancestor_counts_at_any_distance() -> None:
    graph = Graph.of([(COMMIT, CHANGE), (CHANGE, ITEM)])
    assert not graph.is_root(COMMIT, marked(COMMIT, ITEM))


def test_two_marked_items_that_one_change_serves_are_two_experiments() -> None:
    graph = Graph.of([(CHANGE, ITEM), (CHANGE, OTHER_ITEM)])
    both = marked(ITEM, OTHER_ITEM)
    assert graph.is_root(ITEM, both)
    assert graph.is_root(OTHER_ITEM, both)


def test_of_marked_subjects_in_a_circle_the_alphabetically_first_is_the_root() -> None:
    graph = Graph.of([(ITEM, OTHER_ITEM), (OTHER_ITEM, ITEM)])
    both = marked(ITEM, OTHER_ITEM)
    assert graph.is_root(ITEM, both)
    assert not graph.is_root(OTHER_ITEM, both)


def test_a_circle_below_a_marked_item_has_no_root_of_its_own() -> None:
    graph = Graph.of([(CHANGE, OTHER_CHANGE), (OTHER_CHANGE, CHANGE), (OTHER_CHANGE, ITEM)])
    every = marked(CHANGE, OTHER_CHANGE, ITEM)
    assert [subject for subject in sorted(every) if graph.is_root(subject, every)] == [ITEM]


SUBJECTS = st.sampled_from([Ref(f"key:{name}") for name in "abcdef"])
LINKS = st.lists(st.tuples(SUBJECTS, SUBJECTS), max_size=12)


@given(st.data(), LINKS)
def test_any_order_and_any_duplication_of_the_links_gives_the_same_graph(
    data: st.DataObject, links: list[tuple[Ref, Ref]]
) -> None:
    again = data.draw(st.permutations([*links, *links[:3]]))
    assert Graph.of(again) == Graph.of(links)


@given(LINKS, SUBJECTS, SUBJECTS)
def test_who_is_above_one_subject_has_that_subject_below(links: list[tuple[Ref, Ref]], one: Ref, other: Ref) -> None:
    graph = Graph.of(links)
    assert (one in graph.ancestors(other)) == (other in graph.descendants(one))


@given(LINKS, st.frozensets(SUBJECTS, min_size=1))
def test_every_marked_subject_is_a_root_or_serves_one(links: list[tuple[Ref, Ref]], some: frozenset[Ref]) -> None:
    graph = Graph.of(links)
    roots = {subject for subject in some if graph.is_root(subject, some)}
    assert all(subject in roots or graph.ancestors(subject) & roots for subject in some)
