"""Families of metrics, as prometheus-client encodes them, of what is counted elsewhere."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from monitor.durations import BOUNDS, Durations

PREFIX = "cell_monitor"

Labels = tuple[str, ...]

_BOUNDS = [*map(str, BOUNDS), "+Inf"]


def counter(name: str, text: str, value: float) -> Metric:
    """A number that only grows. `name` has neither the prefix nor `_total`."""
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value)


def gauge(name: str, text: str, value: float) -> Metric:
    """A number that goes up and down."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value)


def counters(name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
    """Several numbers that only grow, by the values of their labels."""
    family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for label_values, value in sorted(values.items()):
        family.add_metric(label_values, value)
    return family


def gauges(name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
    """Several numbers that go up and down, by the values of their labels."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for label_values, value in sorted(values.items()):
        family.add_metric(label_values, value)
    return family


def histogram(name: str, text: str, durations: Durations) -> Metric:
    """Durations in seconds."""
    return histograms(name, text, (), [((), durations)])


def histograms(
    name: str, text: str, labels: Labels, several: Iterable[tuple[Labels, Durations]]
) -> Metric:
    """Several histograms of durations in seconds, by the values of their labels."""
    family = HistogramMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for label_values, durations in several:
        buckets = list(zip(_BOUNDS, durations.cumulative(), strict=True))
        family.add_metric(label_values, buckets, durations.total)
    return family
