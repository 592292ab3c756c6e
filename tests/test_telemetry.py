"""The counters about ourselves."""

from service.telemetry import RESULTS, VERDICTS, Telemetry


def test_every_known_label_set_begins_at_zero() -> None:
    registry = Telemetry(["github", "ci_main"]).registry
    for source in ("github", "ci_main"):
        for result in RESULTS:
            labels = {"source": source, "result": result}
            assert registry.get_sample_value("loopgauge_deliveries_total", labels) == 0
        for verdict in VERDICTS:
            labels = {"source": source, "verdict": verdict}
            assert registry.get_sample_value("loopgauge_interpreted_total", labels) == 0
    assert registry.get_sample_value("loopgauge_deliveries_total", {"source": "_unknown", "result": "refused"}) == 0


def test_names_that_strangers_invent_make_no_series() -> None:
    telemetry = Telemetry(["github"])
    for number in range(100):
        telemetry.count_delivery(f"invented-{number}", "refused")
    unknown = {"source": "_unknown", "result": "refused"}
    assert telemetry.registry.get_sample_value("loopgauge_deliveries_total", unknown) == 100
    samples = [sample for family in telemetry.registry.collect() for sample in family.samples]
    sources = {sample.labels["source"] for sample in samples if "source" in sample.labels}
    assert sources == {"github", "_unknown"}
