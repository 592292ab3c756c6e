"""Pushes: which deployments ship a commit of a default branch."""

from collections.abc import Sequence
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.events import Shipped
from service.lifecycle.pushes import MOST_PUSHES, Push, Shipments
from service.lifecycle.references import Ref, commit
from tests.support.builders import at

PUSHED = at(2)
APP, FORK = Ref("github:acme/app"), Ref("github:other/app")


def sha(number: int) -> Ref:
    return commit(f"{number:040x}")


def push(before: int | None, *commits: int, when: datetime = PUSHED, linear: bool = True, project: Ref = APP) -> Push:
    base = None if before is None else sha(before)
    return Push(project, base, tuple(map(sha, commits)), linear, when)


def shipping(
    pushes: Sequence[Push], deployed: dict[int, datetime], one: int, *projects: Ref
) -> list[tuple[Ref, datetime]]:
    shipped = {sha(number): Shipped(sha(number), when) for number, when in deployed.items()}
    return [(each.subject, each.occurred_at) for each in Shipments(pushes, shipped).of(sha(one), projects or None)]


def test_a_deployment_ships_the_commits_on_which_its_commit_stands() -> None:
    pushes = [push(0, 1), push(1, 2), push(2, 3)]
    assert shipping(pushes, {3: at(5)}, 1) == [(sha(3), at(5))]
    assert shipping(pushes, {3: at(5)}, 0) == [(sha(3), at(5))]
    assert shipping(pushes, {1: at(5)}, 2) == []


def test_a_lost_push_breaks_the_chain() -> None:
    assert shipping([push(0, 1), push(2, 3)], {3: at(5)}, 1) == []


def test_a_rollback_ships_nothing_new() -> None:
    pushes = [push(0, 1), push(1, 2), push(2, 3, when=at(3))]
    assert min(when for _, when in shipping(pushes, {3: at(4), 2: at(6)}, 1)) == at(4)


def test_the_search_ends_at_the_first_push_after_a_deployment() -> None:
    pushes = [push(0, 1), push(1, 2), push(2, 3, when=at(6))]
    assert shipping(pushes, {2: at(4), 3: at(7)}, 1) == [(sha(2), at(4))]


def test_the_commits_of_a_linear_push_stand_on_each_other() -> None:
    pushes = [push(0, 1, 2, 3)]
    assert shipping(pushes, {2: at(5)}, 1) == [(sha(2), at(5))]
    assert shipping(pushes, {2: at(5)}, 0) == [(sha(2), at(5))]
    assert shipping(pushes, {2: at(5)}, 3) == []


def test_only_the_last_commit_of_a_push_with_a_merge_contains_the_others() -> None:
    pushes = [push(0, 1, 2, 3, linear=False)]
    assert shipping(pushes, {2: at(5)}, 1) == shipping(pushes, {2: at(5)}, 0) == []
    assert shipping(pushes, {3: at(5)}, 1) == shipping(pushes, {3: at(5)}, 0) == [(sha(3), at(5))]


def test_the_commits_of_a_forced_push_do_not_stand_on_the_previous_commit() -> None:
    pushes = [push(0, 1), push(None, 2, 3)]
    assert shipping(pushes, {3: at(5)}, 1) == []
    assert shipping(pushes, {3: at(5)}, 2) == [(sha(3), at(5))]


def test_only_the_pushes_of_the_given_projects_count() -> None:
    pushes = [push(0, 1), push(1, 2, project=FORK)]
    assert shipping(pushes, {2: at(5)}, 1, APP) == []
    assert shipping(pushes, {2: at(5)}, 1, APP, FORK) == shipping(pushes, {2: at(5)}, 1) == [(sha(2), at(5))]


def test_a_branch_that_was_set_back_does_not_carry_the_commits_that_it_lost() -> None:
    pushes = [push(0, 1), push(1, 2), push(1, 3)]
    assert shipping(pushes, {3: at(5)}, 2) == []
    assert shipping(pushes, {3: at(5)}, 1) == [(sha(3), at(5))]


def test_pushes_in_a_circle_end_the_search() -> None:
    assert shipping([push(1, 2), push(2, 1)], {}, 1) == []


def test_a_deployment_after_too_many_pushes_ships_nothing() -> None:
    pushes = [push(number, number + 1) for number in range(MOST_PUSHES + 1)]
    assert shipping(pushes, {MOST_PUSHES: at(5)}, 0) == [(sha(MOST_PUSHES), at(5))]
    assert shipping(pushes, {MOST_PUSHES + 1: at(5)}, 0) == []


@given(st.data())
def test_the_earliest_deployment_above_a_commit_is_found(data: st.DataObject) -> None:
    pushes, tip = list[Push](), 0
    for day in range(2, 2 + data.draw(st.integers(1, 8))):
        size = data.draw(st.integers(1, 3))
        pushes.append(push(tip, *range(tip + 1, tip + 1 + size), when=at(day)))
        tip += size
    days = {one: push.pushed_at for push in pushes for one in push.commits}
    deployed = {
        number: data.draw(st.integers(days[sha(number)].day, 20).map(at))
        for number in data.draw(st.sets(st.integers(1, tip)))
    }
    one = data.draw(st.integers(0, tip))
    expected = min((when for number, when in deployed.items() if number >= one), default=None)
    found = [*(when for _, when in shipping(data.draw(st.permutations(pushes)), deployed, one))]
    found += [deployed[one]] if one in deployed else []
    assert min(found, default=None) == expected
