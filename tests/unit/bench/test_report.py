"""The benchmarks print a report, and post generated traffic."""

import json

import pytest
import zstandard

from service.pipeline.interpret import interpret_delivery
from tests.bench.report import Line, as_json, replace_results, table
from tests.bench.traffic import BODY_BYTES, traffic
from tests.support.builders import at
from tests.support.paths import REPOSITORY
from tests.support.road import RULES


def _line(*values: float, references: tuple[float, ...] = (), **bounds: float) -> Line:
    against = "another way" if references else ""
    return Line(what="a figure", values=values, unit="ms", against=against, references=references, **bounds)


def test_the_ratio_of_a_measurement_is_the_median_of_the_ratios_of_its_rounds() -> None:
    # In the second round, the measurement and its reference were both slow. The ratio of the medians would be 2 / 2.
    assert _line(1, 8, 2, references=(2, 20, 2)).ratio == 0.5
    assert _line(1, 8, 2).ratio is None


@pytest.mark.parametrize(
    ("line", "met"),
    [
        (_line(1, 2, 3), None),
        (_line(1, 2, 3, most=2), True),
        (_line(1, 2, 3, most=1.9), False),
        (_line(1, 2, 3, least=2), True),
        (_line(1, 2, 3, least=2.1), False),
        (_line(4, 4, 4, references=(10, 10, 10), least=0.4), True),
        (_line(4, 4, 4, references=(10, 10, 10), least=0.5), False),
        (_line(4, 4, 4, references=(10, 10, 10), most=0.3), False),
    ],
)
def test_a_bound_applies_to_the_ratio_of_a_measurement_with_a_reference_and_to_the_median_of_any_other_measurement(
    line: Line, met: bool | None
) -> None:
    assert line.met is met


def test_the_table_shows_each_measurement_with_its_bound_and_its_reference() -> None:
    lines = [_line(0.5, 1500, 2.25, most=2), _line(3, 3, 3, references=(2, 2, 2), least=1)]
    assert table(lines).splitlines() == [
        "| what     | median  | least to most | against           | ratio | bound |         |",
        "|----------|---------|---------------|-------------------|-------|-------|---------|",
        "| a figure | 2.25 ms | 0.5 to 1,500  |                   |       | ≤ 2   | NOT MET |",
        "| a figure | 3 ms    | 3 to 3        | another way: 2 ms | 1.50  | ≥ 1   | met     |",
    ]


def test_the_json_contains_the_values_of_each_measurement_and_a_description_of_the_machine() -> None:
    report = json.loads(as_json([_line(3, 3, 3, references=(2, 2, 2), least=1)]))
    [line] = report["lines"]
    assert (line["values"], line["references"], line["median"], line["ratio"]) == ([3, 3, 3], [2, 2, 2], 3, 1.5)
    assert (line["least"], line["met"]) == (1, True)
    assert {"processor", "cores", "python", "loopgauge"} <= report["machine"].keys()


def test_new_results_replace_the_old_ones_in_a_page() -> None:
    page = "Text\n<!-- results of make bench -->\n\nold\n\n<!-- end of the results -->\nmore\n"
    assert replace_results(page, "new") == page.replace("old", "new")


def test_a_page_without_a_place_for_results_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the lines"):
        replace_results("<!-- results of make bench -->\nold\n", "new")


def test_the_page_of_benchmarks_has_a_place_for_results() -> None:
    assert "| deliveries acknowledged" not in replace_results(
        (REPOSITORY / "docs" / "benchmarks.md").read_text(), "new"
    )


def test_ninety_percent_of_the_deliveries_in_the_traffic_are_ignored() -> None:
    requests = list(traffic(2000))
    verdicts = [interpret_delivery(RULES, request.delivery(at(28))).verdict for request in requests]
    assert set(verdicts) == {"counted", "ignored"}
    assert verdicts.count("ignored") / len(verdicts) == pytest.approx(0.9, abs=0.02)


def test_the_traffic_is_deterministic_and_contains_no_duplicates() -> None:
    requests = list(traffic(2000))
    assert requests == list(traffic(2000))
    assert len({request.delivery_id for request in requests}) == len(requests)


def test_bodies_of_the_traffic_have_the_size_and_compression_ratio_of_real_payloads() -> None:
    bodies = [request.body for request in traffic(500)]
    assert all(json.loads(body) for body in bodies)
    assert all(0.9 * BODY_BYTES < len(body) <= 1.02 * BODY_BYTES for body in bodies)
    compressor = zstandard.ZstdCompressor(level=1)
    assert sum(map(len, bodies)) / sum(len(compressor.compress(body)) for body in bodies) == pytest.approx(7, abs=0.5)
