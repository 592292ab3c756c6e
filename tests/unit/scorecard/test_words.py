"""The scorecard describes lengths of time and boldness in words."""

from itertools import pairwise

import pytest
from grafana_foundation_sdk.models.dashboard import DashboardRangeMapOptions

from dashboards.words import BOLDNESS
from service.scorecard.words import boldness_in_words, length_in_words

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (MINUTE, "about a minute"),
        (40 * MINUTE, "about 40 minutes"),
        (59.4 * MINUTE, "about 59 minutes"),
        (59.5 * MINUTE, "about an hour"),
        (5 * HOUR, "about 5 hours"),
        (22 * HOUR, "about a day"),
        (1.5 * DAY, "about 2 days"),
        (5.9 * DAY, "about 6 days"),
        (7 * DAY, "about a week"),
        (14 * DAY, "about two weeks"),
        (21 * DAY, "about three weeks"),
        (30 * DAY, "about a month"),
        (61 * DAY, "about two months"),
        (90 * DAY, "about 3 months"),
        (319 * DAY, "about 10 months"),
        (365 * DAY, "about a year"),
        (548 * DAY, "about 2 years"),
        (3653 * DAY, "about 10 years"),
    ],
)
def test_a_length_of_time_is_described_in_words(seconds: float, words: str) -> None:
    assert length_in_words(seconds) == words


def test_the_words_for_shorter_lengths_of_time_are_never_used_again_for_longer_ones() -> None:
    words = [length_in_words(quarters * HOUR / 4) for quarters in range(4 * 24 * 800)]
    changes = [later for earlier, later in pairwise(words) if later != earlier]
    assert len(changes) == len(set(changes))


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
def test_boldness_is_described_in_the_words_of_the_dashboards(share: float) -> None:
    ranges = [one.options for one in BOLDNESS if isinstance(one.options, DashboardRangeMapOptions)]
    (words,) = [one.result.text for one in ranges if (one.from_val or 0) <= share <= (one.to or 0)]
    assert boldness_in_words(share) == words
