"""The health of a site as Prometheus reads it: as text, in a file, or over HTTP."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ingestion_pipeline.app.places import Places
from ingestion_pipeline.app.spreadsheets import elsewhere
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.health import Health, Signal
from ingestion_pipeline.domain.signals import ABOUT
from ingestion_pipeline.domain.timing import BOUNDS, Timings
from ingestion_pipeline.stores.atomic import Written

PREFIX = "ingestion_"
TOTAL = "_total"

AGAIN = 5.0
"""Seconds in which one look is enough, however many ask."""

HOST = "127.0.0.1"
"""Nobody on another machine is answered."""

_EDGES = (*(str(bound) for bound in BOUNDS), "+Inf")

Look = tuple[Health, Timings]


class Metrics:
    """The metrics of one site.

    Args:
        places: The site's.
        health: Looks at it.
        timings: Gives how long things took.
    """

    def __init__(self, places: Places, health: Callable[[], Health], timings: Callable[[], Timings]) -> None:
        self._places = places
        self._registry = CollectorRegistry()
        # A health first, so that the timings have that look too.
        self._registry.register(_Collector(_Remembered(lambda: (health(), timings()))))

    def text(self) -> bytes:
        """The metrics as Prometheus' text."""
        return bytes(generate_latest(self._registry))

    def samples(self) -> Iterator[dict[str, Any]]:
        """Each sample: its name, labels and value."""
        for family in self._registry.collect():
            for sample in family.samples:
                yield {"name": sample.name, "labels": dict(sample.labels), "value": sample.value}

    def write(self, target: Path) -> Written:
        """Put the text in a file's place; who may read that one may read this one.

        Raises:
            ProtectedError: The file is the site's own, or no file.
            UnavailableError: The disk refuses.
        """
        mode = target.stat().st_mode & 0o777 if target.is_file() else None
        with elsewhere(self._places, target) as new:
            new.write(self.text())
            written = new.replace()
        if mode is not None:
            target.chmod(mode)
        return written

    @contextmanager
    def serving(self, port: int) -> Iterator[str]:
        """Answer on this machine until the block ends; gives the address.

        Args:
            port: 0 for any that is free.

        Raises:
            UnavailableError: Somebody else has the port.
        """
        try:
            server, thread = start_http_server(port, HOST, self._registry)
        except OSError as error:
            raise UnavailableError(
                f"port {port} cannot be used: {error.strerror}",
                code="port_unavailable",
                hint="Is another `ingest metrics --serve` running? Name another one with --port.",
            ) from None
        try:
            yield f"http://{HOST}:{server.server_port}/metrics"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Remembered:
    """A look that is used again for a moment; of several who ask at once, one looks."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look
        self._looking = threading.Lock()
        self._until = 0.0
        self._found: Look | None = None

    def __call__(self) -> Look:
        with self._looking:
            if self._found is None or time.monotonic() >= self._until:
                self._found = self._look()
                self._until = time.monotonic() + AGAIN
            return self._found


class _Collector(Collector):
    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look

    def collect(self) -> Iterable[Metric]:
        """A family for each name."""
        health, timings = self._look()
        yield from _of_findings(health)
        yield from _of_signals(health.signals)
        yield _of_timings(timings)


def _of_findings(health: Health) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        f"{PREFIX}healthy", "Whether everything is as it should be.", value=float(health.ok)
    )
    about = {
        "ok": "Whether what was looked at is as it should be.",
        "measured": "The figure that was found.",
        "limit": "How far it may go.",
    }
    for name, said in about.items():
        family = GaugeMetricFamily(f"{PREFIX}finding_{name}", said, labels=["finding"])
        for finding in health.findings:
            value = getattr(finding, name)
            if value is not None:
                family.add_metric([finding.name], float(value))
        yield family


def _of_signals(signals: Iterable[Signal]) -> Iterator[Metric]:
    by_name: dict[str, list[Signal]] = {}
    for signal in signals:
        by_name.setdefault(signal.name, []).append(signal)
    for name, several in by_name.items():
        labels = [label for label, _ in several[0].labels]
        kind = CounterMetricFamily if name.endswith(TOTAL) else GaugeMetricFamily
        family = kind(PREFIX + name.removesuffix(TOTAL), ABOUT[name], labels=labels)
        for signal in several:
            family.add_metric([about for _, about in signal.labels], signal.value)
        yield family


def _of_timings(timings: Timings) -> Metric:
    about = "How long operations, transactions and queries took, by how they ended."
    family = HistogramMetricFamily(f"{PREFIX}timing_seconds", about, labels=["kind", "operation", "outcome"])
    for timed, histogram in sorted(timings.items()):
        counts = [float(count) for count in accumulate(histogram.counts)]
        family.add_metric(
            [timed.kind.value, timed.operation, timed.outcome],
            list(zip(_EDGES, counts, strict=True)),
            histogram.seconds,
        )
    return family
