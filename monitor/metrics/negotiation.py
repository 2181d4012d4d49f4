"""Chooses between Prometheus' text format and OpenMetrics by a scraper's `Accept` header."""

from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import CollectorRegistry

TEXT, OPENMETRICS = "text/plain", "application/openmetrics-text"


class Format(NamedTuple):
    """How metrics are encoded, and the content type that says so."""

    encode: Callable[[CollectorRegistry], bytes]
    content_type: str


_TEXT = Format(generate_latest, f"{TEXT}; version=0.0.4; charset=utf-8")
_OPENMETRICS = Format(generate_openmetrics, f"{OPENMETRICS}; version=1.0.0; charset=utf-8")


def negotiate(accept: str) -> Format:
    """OpenMetrics where version 1 of it is wanted at least as much as text, which is the default.

    prometheus-client's own choice fails at a version that is no number, and ignores weights.
    """
    wanted = {TEXT: 0.0, OPENMETRICS: 0.0}
    for part in accept.split(","):
        kind, *parameters = (each.strip().lower() for each in part.split(";"))
        values = dict(each.split("=", 1) for each in parameters if "=" in each)
        if kind == OPENMETRICS and values.get("version", "1").partition(".")[0] != "1":
            continue
        if kind in wanted:
            wanted[kind] = max(wanted[kind], _weight(values.get("q", "1")))
    return _OPENMETRICS if wanted[OPENMETRICS] >= max(wanted[TEXT], 0.001) else _TEXT


def _weight(text: str) -> float:
    """Between 0 and 1; 0 for what is no number: the other format is the safer one."""
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
