"""Exposition: metrics written as Prometheus reads them, once, and handed out as often as anybody asks."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import prometheus_client
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

OPENMETRICS_END = b"# EOF\n"
_GZIP = 16 + zlib.MAX_WBITS
# Five times smaller at a quarter of the time that the default takes for six times smaller.
_LEVEL = 1
_OWN_GAUGES = ("_gcount", "_gsum")


class Families(Collector):
    """Families that are computed already, in the form that the exposition functions take."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Sequence[Metric]:
        return self._families


def write_text(metrics: CollectorRegistry | Collector) -> bytes:
    """Metrics in Prometheus' text format."""
    return prometheus_client.generate_latest(metrics)


def write_both(families: Iterable[Metric]) -> tuple[bytes, bytes]:
    """Gauges and gauge histograms in Prometheus' text format, and in OpenMetrics without its closing line.

    A sample is the same line in both, and so is written once: in a sixth of the time that the library takes.
    """
    text: list[str] = []
    opened: list[str] = []
    for family in families:
        lines = [(one.name, f"{one.name}{_labels(one.labels)} {_number(one.value)}\n") for one in family.samples]
        opened += _head(write_openmetrics, family.name, family), *(line for _, line in lines)
        # What the text format does not know of a histogram stands in gauges of their own.
        apart = {f"{family.name}{suffix}" for suffix in _OWN_GAUGES} if family.type == "gaugehistogram" else set()
        text += _head(write_text, family.name, family), *(line for name, line in lines if name not in apart)
        for gauge in sorted(apart & {name for name, _ in lines}):
            head = _head(write_text, gauge, Metric(gauge, family.documentation, "gauge"))
            text += head, *(line for name, line in lines if name == gauge)
    return "".join(text).encode(), "".join(opened).encode()


def _head(write: Callable[[Collector], bytes], name: str, family: Metric) -> str:
    return write(Families([Metric(name, family.documentation, family.type)])).decode()


def _labels(labels: Mapping[str, str]) -> str:
    return f"{{{','.join([_label(*label) for label in sorted(labels.items())])}}}" if labels else ""


def write_openmetrics(metrics: CollectorRegistry | Collector) -> bytes:
    """Metrics in the OpenMetrics format without its closing line, so that more can follow."""
    written: bytes = openmetrics.generate_latest(metrics)
    return written.removesuffix(OPENMETRICS_END)


def escape(value: str) -> str:
    """A label's value as it stands between the quotes, in either format."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@lru_cache(1 << 16)
def _label(name: str, value: str) -> str:
    return f'{name}="{escape(value)}"'


# The same few counts come again and again.
_number = lru_cache(1 << 12)(floatToGoString)


class Exposition:
    """Metrics in one format, plain and compressed, to which what is of this very moment can be added cheaply.

    Args:
        written: whole lines.
    """

    def __init__(self, written: bytes) -> None:
        self._written = written
        self._compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
        # Up to the end of a byte, so that a copy of the compressor can go on from there.
        self._compressed = self._compressor.compress(written) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def plain(self, more: bytes) -> bytes:
        """The metrics and more lines."""
        return self._written + more

    def gzipped(self, more: bytes) -> bytes:
        """The metrics and more lines, compressed as one gzip stream, of which only what is more is compressed now."""
        rest = self._compressor.copy()
        return self._compressed + rest.compress(more) + rest.flush()
