"""Metrics about loopgauge itself, never about experiments."""

from service.telemetry.process import RESULTS, UNKNOWN_SOURCE, VERDICTS, Result, Telemetry

__all__ = ["RESULTS", "UNKNOWN_SOURCE", "VERDICTS", "Result", "Telemetry"]
