"""Metrics about the work of loopgauge itself; `service.metrics` has the metrics of the experiments."""

from service.telemetry.process import RESULTS, UNKNOWN_SOURCE, VERDICTS, Result, Telemetry

__all__ = ["RESULTS", "UNKNOWN_SOURCE", "VERDICTS", "Result", "Telemetry"]
