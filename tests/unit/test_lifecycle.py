"""Components start in order, stop in reverse, and none of them takes the others along."""

import asyncio

import pytest

from monitor.errors import SpoolError, Unavailable
from monitor.health import ComponentHealth
from monitor.lifecycle import Lifecycle


class Fake:
    """A component that writes down what happens to it, and fails as often as it is made to."""

    def __init__(
        self,
        name: str,
        log: list[str],
        *start_errors: Exception,
        stop_error: Exception | None = None,
    ) -> None:
        self.name = name
        self._log = log
        self._start_errors = list(start_errors)
        self._stop_error = stop_error
        self.started = asyncio.Event()

    async def start(self) -> None:
        if self._start_errors:
            raise self._start_errors.pop(0)
        self._log.append(f"start {self.name}")
        self.started.set()

    async def stop(self, deadline: float) -> None:
        self._log.append(f"stop {self.name}")
        if self._stop_error:
            raise self._stop_error

    async def health(self) -> ComponentHealth:
        return ComponentHealth("ok")


async def test_components_start_in_order_and_stop_in_reverse() -> None:
    log: list[str] = []
    lifecycle = Lifecycle([Fake(name, log) for name in ("one", "two", "three")])
    await lifecycle.start()
    assert await lifecycle.health() == dict.fromkeys(("one", "two", "three"), ComponentHealth("ok"))
    await lifecycle.stop(0.0)
    assert log == [
        *("start one", "start two", "start three"),
        *("stop three", "stop two", "stop one"),
    ]


async def test_failed_component_is_down_and_restarted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []
    flaky = Fake("flaky", log, Unavailable("away"), KeyError("fault"))
    lifecycle = Lifecycle([flaky, Fake("other", log)])
    await lifecycle.start()
    assert log == ["start other"]
    report = await lifecycle.health()
    assert report["flaky"].state == "down"
    assert report["flaky"].error
    assert report["flaky"].error.startswith("Not started: ")
    assert report["other"].state == "ok"
    assert "flaky could not be started" in caplog.text
    async with asyncio.timeout(10):
        await flaky.started.wait()
    await asyncio.sleep(0)
    assert (await lifecycle.health())["flaky"] == ComponentHealth("ok")
    await lifecycle.stop(0.0)


async def test_a_component_that_never_starts_does_not_keep_the_others() -> None:
    log: list[str] = []
    hopeless = Fake("hopeless", log, *[KeyError("fault")] * 100)
    flaky = Fake("flaky", log, Unavailable("away"))
    lifecycle = Lifecycle([hopeless, flaky])
    await lifecycle.start()
    async with asyncio.timeout(5):
        await flaky.started.wait()
    report = await lifecycle.health()
    await lifecycle.stop(0.0)
    assert {name: part.state for name, part in report.items()} == {
        "hopeless": "down",
        "flaky": "ok",
    }


async def test_operator_error_ends_start_and_stops_others() -> None:
    log: list[str] = []
    lifecycle = Lifecycle(
        [
            Fake("one", log),
            Fake("spool", log, SpoolError("locked")),
            Fake("never", log),
        ]
    )
    with pytest.raises(SpoolError):
        await lifecycle.start()
    assert log == ["start one", "stop never", "stop spool", "stop one"]


async def test_a_component_that_fails_to_stop_does_not_keep_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []
    lifecycle = Lifecycle([Fake("one", log), Fake("two", log, stop_error=KeyError("fault"))])
    await lifecycle.start()
    await lifecycle.stop(0.0)
    assert log[2:] == ["stop two", "stop one"]
    assert "two could not be stopped" in caplog.text


async def test_an_operator_error_at_a_retry_does_not_end_the_server() -> None:
    log: list[str] = []
    flaky = Fake("flaky", log, Unavailable("away"), SpoolError("locked"))
    lifecycle = Lifecycle([Fake("other", log), flaky])
    await lifecycle.start()
    async with asyncio.timeout(10):
        await flaky.started.wait()
    assert log == ["start other", "start flaky"]
    await lifecycle.stop(0.0)


async def test_a_component_that_hangs_at_the_stop_does_not_keep_the_others(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.lifecycle._STOP_GRACE", 0.05)
    log: list[str] = []
    hanging = Fake("hanging", log)
    monkeypatch.setattr(hanging, "stop", lambda _deadline: asyncio.Event().wait())
    lifecycle = Lifecycle([Fake("spool", log), hanging, Fake("last", log)])
    await lifecycle.start()
    async with asyncio.timeout(10):
        await lifecycle.stop(0.0)
    assert log[-2:] == ["stop last", "stop spool"]
    assert "hanging could not be stopped" in caplog.text


async def test_a_component_that_cannot_report_its_health_is_down(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    queue = Fake("queue", log)
    monkeypatch.setattr(queue, "health", {}.popitem)
    lifecycle = Lifecycle([Fake("spool", log), queue])
    report = await lifecycle.health()
    assert report["spool"].state == "ok"
    assert (report["queue"].state, report["queue"].error) == (
        "down",
        "Its health is unknown: 'popitem(): dictionary is empty'",
    )
    assert "queue could not report its health" in caplog.text
