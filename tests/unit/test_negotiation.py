"""Which format a scraper gets, whatever its `Accept` header has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.registry import CollectorRegistry

from monitor.metrics.negotiation import OPENMETRICS, TEXT, negotiate

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html, */*;q=0.8", TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text ; Version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;version=0.0.1", TEXT),
        ("application/openmetrics-text;version=x", TEXT),
        ("application/openmetrics-text;q=x", TEXT),
        ("text/plain;version=x", TEXT),
    ],
)
def test_the_format_is_the_one_that_is_wanted_most(accept: str, kind: str) -> None:
    assert negotiate(accept).content_type.partition(";")[0] == kind


@given(st.text(alphabet="aopenmtrics-tx/;=,.q 01vé", max_size=80))
def test_no_header_is_too_odd(accept: str) -> None:
    encode, content_type = negotiate(accept)
    assert encode(CollectorRegistry()) in (b"", b"# EOF\n")
    assert content_type.startswith((TEXT, OPENMETRICS))
