"""The whole server's state, from those of its parts."""

import pytest

from monitor.health import PartHealth, State, Whole, whole

OK: dict[str, State] = dict.fromkeys(("postgres", "spool", "queue", "consumers", "counting"), "ok")


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ({}, "ok"),
        ({"redis": "off"}, "ok"),
        ({"redis": "degraded"}, "degraded"),
        ({"counting": "down"}, "degraded"),
        ({"postgres": "down", "spool": "degraded"}, "degraded"),
        ({"spool": "down"}, "degraded"),
        ({"postgres": "down", "spool": "down"}, "down"),
        ({"queue": "down"}, "down"),
        ({"consumers": "down"}, "down"),
    ],
)
def test_it_is_down_only_when_events_cannot_be_accepted(
    states: dict[str, State], status: Whole
) -> None:
    assert whole({name: PartHealth(state) for name, state in {**OK, **states}.items()}) == status
