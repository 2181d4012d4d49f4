"""Keeps the embedded PostgreSQL running without holding up the event loop."""

import asyncio
from contextlib import suppress

from monitor.database.embedded.programs import EmbeddedPostgresError
from monitor.database.embedded.server import EmbeddedPostgres
from monitor.health import ComponentHealth
from monitor.tasks import Job

_INTERVAL = 1.0  # seconds between checks that it still runs
_MAX_BACKOFF = 30.0  # seconds between tries to restart it


class Supervision:
    """Restarts the embedded PostgreSQL when it has died, in a thread: that may take minutes."""

    name = "embedded_postgres"

    def __init__(self, embedded: EmbeddedPostgres) -> None:
        self._embedded = embedded
        self._job = Job(
            "Keeping the embedded PostgreSQL running",
            self._ensure_running,
            interval=_INTERVAL,
            max_backoff=_MAX_BACKOFF,
            expected=(EmbeddedPostgresError,),
        )

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        """Returns once no thread is restarting it any more."""
        await self._job.stop()

    async def health(self) -> ComponentHealth:
        return self._job.health()

    async def _ensure_running(self) -> None:
        restart = asyncio.create_task(asyncio.to_thread(self._embedded.ensure_running))
        try:
            await asyncio.shield(restart)
        except asyncio.CancelledError:
            self._embedded.interrupt()
            with suppress(EmbeddedPostgresError):
                await restart
            raise
