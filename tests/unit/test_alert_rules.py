"""The values of labels that the alert rules wait for are those that a server reports."""

import re

import pytest

from monitor import errors
from monitor.auth.authentication import _OUTCOMES
from monitor.metrics.exposition import _STATES
from monitor.metrics.process import _snake
from tests.support.paths import ROOT

RULES = (ROOT / "deploy" / "prometheus" / "cell-monitor.rules.yml").read_text()
REASONS = {
    _snake(each.__name__)
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.MonitorError)
}
REFUSED = r"cell_monitor_ingest_refused_requests_total\{([^}]*)\}"
LOGINS = r"cell_monitor_logins_total\{([^}]*)\}"
STATES = r"cell_monitor_component_state\{([^}]*)\}"


@pytest.mark.parametrize(
    ("metric", "label", "possible"),
    [
        (REFUSED, "reason", REASONS | {"exception"}),
        (LOGINS, "outcome", set(_OUTCOMES)),
        (STATES, "state", set(_STATES)),
    ],
)
def test_alerts_wait_for_what_there_is(metric: str, label: str, possible: set[str]) -> None:
    selectors = " ".join(re.findall(metric, RULES))
    values = re.findall(rf'{label}=~?"([^"]*)"', selectors)
    assert values
    assert {each for value in values for each in value.split("|")} <= possible
