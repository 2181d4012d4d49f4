"""What operators are notified of about the server: a part is degraded or down for a while."""

import time
from collections.abc import Mapping

from monitor.database.pool import Database
from monitor.health import ComponentHealth
from monitor.notifications import outbox
from monitor.notifications.operators import Operators
from monitor.notifications.sending import Message
from monitor.notifications.texts import compose

_DATABASE = frozenset({"postgres", "embedded_postgres"})


class HealthWatch:
    """Remembers since when parts of this replica are not well. `own` is not looked at."""

    def __init__(self, operators: Operators, own: str) -> None:
        self._operators = operators
        self._own = own
        self._since: dict[str, float] = {}
        self._said = False  # that PostgreSQL is away: there is no place to note it but here

    def lasting(self, reports: Mapping[str, ComponentHealth]) -> dict[str, ComponentHealth]:
        """What is not well for at least HEALTH_SECONDS."""
        now = time.monotonic()
        unwell = {
            name: report
            for name, report in reports.items()
            if report.state in ("degraded", "down") and name != self._own
        }
        self._since = {name: self._since.get(name, now) for name in unwell}
        return {
            name: report
            for name, report in unwell.items()
            if now - self._since[name] >= self._operators.health_seconds
        }

    async def note(self, database: Database, lasting: Mapping[str, ComponentHealth]) -> None:
        """Notes what is new, with the messages about it. Raises Unavailable."""
        self._said = False
        if not lasting:
            return
        async with database.transaction() as connection:
            if await outbox.is_quiet(connection, self._operators):
                return
            new = await outbox.note_causes(connection, outbox.OPERATORS, "health", list(lasting))
            for name in sorted(new):
                message = self.message(name, lasting[name])
                await outbox.add_for_operators(connection, self._operators, "health", message)

    def message_without_database(self, lasting: Mapping[str, ComponentHealth]) -> Message | None:
        """What to send at once while PostgreSQL is away: once, from this replica."""
        names = sorted(_DATABASE & lasting.keys())
        if not names or self._said:
            return None
        self._said = True
        return self.message(names[0], lasting[names[0]])

    def message(self, name: str, report: ComponentHealth) -> Message:
        """The message about a part."""
        return compose(
            "health",
            self._operators.language,
            self._operators.address,
            component=name,
            state=report.state,
            error=report.error or report.state,
        )
