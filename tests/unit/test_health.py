"""The whole server's state, from those of its components."""

import pytest

from monitor.health import (
    ComponentHealth,
    ConsumersHealth,
    Counts,
    LedgerHealth,
    QueueHealth,
    RedisHealth,
    State,
    Whole,
    summarise,
    whole,
)

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
    assert (
        whole({name: ComponentHealth(state) for name, state in {**OK, **states}.items()}) == status
    )


def test_each_component_with_a_field_gets_a_report_of_its_kind() -> None:
    reports = {
        "consumers": ConsumersHealth("ok", alive=2),
        "queue": ComponentHealth("down", "unknown"),
        "ledger": LedgerHealth("ok", process=Counts(stored=3)),
        "counting": ComponentHealth("ok"),
    }
    health = summarise(reports, project="p", version="1", sockets=4)
    assert (health.project, health.version, health.sockets) == ("p", "1", 4)
    assert health.queue == QueueHealth("down", "unknown", events=0, bytes=0)
    assert health.ledger.process.stored == 3
    assert health.redis == RedisHealth("off")
    assert (health.status, health.consumers) == ("down", 2)
    assert health.jobs == {"counting": ComponentHealth("ok")}
