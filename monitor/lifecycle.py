"""How a server's components start, stop and report: one order for all three."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from monitor.errors import MonitorError, Unavailable
from monitor.health import ComponentHealth
from monitor.tasks import Job, describe, remaining

logger = logging.getLogger(__name__)

_MAX_BACKOFF = 30.0  # seconds between tries to start what could not be started
_STOP_GRACE = 3.0  # seconds after the deadline for a component to end by itself


class Component(Protocol):
    """A part of the server that is started, stopped and asked for its health.

    `stop` is also called when `start` was not, or failed; `deadline` is of the event loop's clock.
    A MonitorError of `start`, except Unavailable, is the operator's to solve: the server ends. At a
    retry it doesn't: what already runs goes on, and the health report says what is to solve.
    """

    @property
    def name(self) -> str: ...

    async def start(self) -> None: ...

    async def stop(self, deadline: float) -> None: ...

    async def health(self) -> ComponentHealth: ...


class Lifecycle:
    """Starts components in order and stops them in reverse order.

    One that can't be started is `down` in the health report, and is tried again; the others go on
    without it. One that can't be stopped, or not in time, does not keep the others from it.
    """

    def __init__(self, components: Sequence[Component]) -> None:
        self._components = components
        self._failed: dict[str, str] = {}  # why components could not be started, by name
        self._retry = Job("Starting", self._start_failed, max_backoff=_MAX_BACKOFF)

    async def start(self) -> None:
        """Raises MonitorError, except Unavailable, after stopping what was started."""
        for component in self._components:
            try:
                await component.start()
            except Exception as error:
                if _is_final(error):
                    await self.stop(asyncio.get_running_loop().time())
                    raise
                logger.exception("%s could not be started", component.name)
                self._failed[component.name] = describe(error)
        if self._failed:
            self._retry.start()

    async def stop(self, deadline: float) -> None:
        """Each component has until the deadline (event loop's clock), and a grace after it."""
        await self._retry.stop()
        for component in reversed(self._components):
            try:
                async with asyncio.timeout(remaining(deadline) + _STOP_GRACE):
                    await component.stop(deadline)
            except Exception:  # the components below it must be stopped all the same
                logger.exception("%s could not be stopped", component.name)

    async def health(self) -> dict[str, ComponentHealth]:
        """Each component's report, by its name; `down` where it can't be asked."""
        reports = await asyncio.gather(*(self._ask(each) for each in self._components))
        return {each.name: report for each, report in zip(self._components, reports, strict=True)}

    async def _ask(self, component: Component) -> ComponentHealth:
        try:
            report = await component.health()
        except Exception as error:  # a report of the others is worth more than none
            logger.exception("%s could not report its health", component.name)
            report = ComponentHealth("down", f"Its health is unknown: {describe(error)}")
        if reason := self._failed.get(component.name):
            report.state, report.error = "down", f"Not started: {reason}"
        return report

    async def _start_failed(self) -> None:
        """Tries all of them. Raises the first error, so that they are tried again."""
        failure: Exception | None = None
        for component in self._components:
            if component.name in self._failed:
                try:
                    await component.start()
                except Exception as error:  # noqa: BLE001 - raised below, for the job to log
                    self._failed[component.name] = describe(error)
                    failure = failure or error
                else:
                    del self._failed[component.name]
        if failure:
            raise failure


def _is_final(error: Exception) -> bool:
    return isinstance(error, MonitorError) and not isinstance(error, Unavailable)
