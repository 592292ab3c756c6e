"""`loopgauge_minimum_sample`: from how many experiments on a figure is told."""

from service.metrics.excluded import minimum_sample as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import rows

NOW = at(20)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), terms(), NOW))
    assert (family.name, family.type) == ("loopgauge_minimum_sample", "gauge")
    assert family.documentation


def test_it_is_the_operators_to_say_and_the_same_for_all_teams() -> None:
    several = [experiment(idea_at=at(1), team=team) for team in ("search", "ads", "")]
    assert rows(families, several, terms("7d", min_sample=10), NOW) == {(): 10}


def test_it_is_there_without_experiments() -> None:
    assert rows(families, [], terms("7d"), NOW) == {(): 5}
