"""An exposition returns its metrics and the lines that a scrape adds, as plain text or compressed."""

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily

from service.pipeline.exposition import Exposition, Families, write_both, write_openmetrics, write_text


@given(st.binary(max_size=2000), st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_added_lines_appear_in_the_plain_and_the_compressed_metrics(written: bytes, added: list[bytes]) -> None:
    exposition = Exposition(written)
    for more in added:
        assert exposition.plain(more) == written + more
        assert gzip.decompress(exposition.gzipped(more)) == written + more


def test_compressed_metrics_are_a_single_gzip_member_because_some_clients_read_only_the_first_member() -> None:
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(Exposition(b"figures\n" * 1000).gzipped(b"counters\n")).endswith(b"figures\ncounters\n")
    assert reader.eof
    assert not reader.unused_data


_GAUGES = [
    GaugeMetricFamily("loopgauge_plain", "Without labels.", value=0.1),
    GaugeMetricFamily("loopgauge_empty", "Without a sample, and with a \\ and a\nbreak.", labels=["team"]),
]


# Adding 0.0 turns -0.0 into 0.0, so the test draws no -0.0. `write_both` would write -0.0 and 0.0 in the same way,
# because it caches the text of each number, and the two zeros are equal keys.
@given(
    st.dictionaries(st.text(), st.floats().map(lambda value: value + 0.0)),
    st.dictionaries(st.text(), st.integers(0, 10**6)),
)
def test_writing_both_formats_at_once_gives_the_same_bytes_as_the_client_library(
    some: dict[str, float], others: dict[str, int]
) -> None:
    labelled = GaugeMetricFamily("loopgauge_labelled", "With labels.", labels=["window", "team"])
    histogram = GaugeHistogramMetricFamily("loopgauge_buckets", "In buckets.", labels=["team"])
    for team, value in [*some.items(), *others.items()]:
        labelled.add_metric(["7d", team], value)
        histogram.add_metric([team], [("3600.0", 1), ("+Inf", 2)], gsum_value=value)
    families = [*_GAUGES, histogram, labelled]
    assert write_both(families) == (write_text(Families(families)), write_openmetrics(Families(families)))


def test_compressed_metrics_are_less_than_a_quarter_of_plain_metrics() -> None:
    written = b"".join(b'loopgauge_failures{team="%d"} 0.0\n' % team for team in range(1000))
    assert len(Exposition(written).gzipped(b"")) * 4 < len(written)
