"""The scorecard describes boldness in words."""

import pytest
from grafana_foundation_sdk.models.dashboard import DashboardRangeMapOptions

from dashboards.words import BOLDNESS
from service.scorecard.words import boldness_in_words


@pytest.mark.parametrize("share", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
def test_boldness_is_described_in_the_words_of_the_dashboards(share: float) -> None:
    ranges = [one.options for one in BOLDNESS if isinstance(one.options, DashboardRangeMapOptions)]
    # At a bound, two ranges match, and Grafana takes the first one.
    words = next(one.result.text for one in ranges if (one.from_val or 0) <= share <= (one.to or 0))
    assert boldness_in_words(share) == words
