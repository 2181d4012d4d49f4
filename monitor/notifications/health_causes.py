"""What operators are notified of about the server: a part is degraded or down for a while."""

import time
from collections.abc import Callable, Mapping, Sequence

from monitor.database.pool import Connection, Database
from monitor.health import ComponentHealth
from monitor.notifications import outbox
from monitor.notifications.operators import Operators
from monitor.notifications.sending import Message
from monitor.notifications.texts import component_name, compose, state_name

_DATABASE = frozenset({"postgres", "embedded_postgres"})
_SHARED = frozenset({"postgres", "standby", "influxdb", "redis"})  # by all replicas


class HealthWatch:
    """Remembers since when parts of this `replica` are not well, or well.

    `own`, the part that notifies, is not looked at. `clock` has seconds.
    """

    def __init__(
        self,
        operators: Operators,
        own: str,
        replica: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._operators = operators
        self._own = own
        self._replica = replica
        self._clock = clock
        self._since: dict[str, float] = {}
        self._well_since: dict[str, float] = {}
        self._said = ""  # the part that was said to be away while there was no place to note it

    @property
    def is_asked(self) -> bool:
        """Whether operators want to hear of it."""
        return bool(self._operators.urls) and "health" in self._operators.kinds

    def lasting(self, reports: Mapping[str, ComponentHealth]) -> dict[str, ComponentHealth]:
        """What is not well for at least HEALTH_SECONDS."""
        now = self._clock()
        unwell = {
            name: report
            for name, report in reports.items()
            if report.state in ("degraded", "down") and name != self._own
        }
        well = [name for name, report in reports.items() if report.state == "ok"]
        self._since = {name: self._since.get(name, now) for name in unwell}
        self._well_since = {name: self._well_since.get(name, now) for name in well}
        return {
            name: report
            for name, report in unwell.items()
            if now - self._since[name] >= self._operators.health_seconds
        }

    async def note(self, database: Database, lasting: Mapping[str, ComponentHealth]) -> None:
        """Notes what is new, with the messages about it. Raises Unavailable."""
        if not (lasting or self._since or self._said):
            return
        async with database.transaction() as connection:
            await outbox.hold_causes(connection, outbox.OPERATORS, "health")
            if self._said:
                await self._note_new(connection, [self._said])
            new: set[str] = set()
            known = self._since.keys() - lasting.keys()  # it has not lasted, again
            if await outbox.is_quiet(connection, self._operators):
                known |= lasting.keys()
            else:
                new = await self._note_new(connection, list(lasting))
            await outbox.note_known(
                connection, outbox.OPERATORS, "health", sorted(known), self._replica
            )
            for name in sorted(new - {self._said}):
                await self._add(connection, self.message(name, lasting[name]))
        self._said = ""

    async def note_recovered(self, database: Database) -> None:
        """Notes what this replica has seen well for 5 minutes, with the messages about it.

        Raises Unavailable.
        """
        least = self._clock() - outbox.LAPSE_OF_HEALTH.total_seconds()
        well = [name for name, since in self._well_since.items() if since <= least]
        if not well:
            return
        async with database.transaction() as connection:
            if await outbox.is_quiet(connection, self._operators):
                return
            for name in await outbox.take_recovered(connection, well, _SHARED, self._replica):
                await self._add(connection, self._recovery(name))

    async def _note_new(self, connection: Connection, names: Sequence[str]) -> set[str]:
        return await outbox.note_causes(
            connection, outbox.OPERATORS, "health", names, self._replica
        )

    def message_without_database(self, lasting: Mapping[str, ComponentHealth]) -> Message | None:
        """What to send at once while PostgreSQL is away: once, from this replica."""
        names = sorted(_DATABASE & lasting.keys())
        if not names or self._said:
            return None
        self._said = names[0]
        return self.message(names[0], lasting[names[0]])

    async def _add(self, connection: Connection, message: Message) -> None:
        if self.is_asked:
            await outbox.add_for_operators(connection, self._operators, "health", message)

    def message(self, name: str, report: ComponentHealth) -> Message:
        """The message about a part."""
        language = self._operators.language
        state = state_name(report.state, language)
        return compose(
            "health",
            language,
            self._operators.address,
            component=component_name(name, language),
            state=state,
            error=report.error or state,
        )

    def _recovery(self, name: str) -> Message:
        language = self._operators.language
        component = component_name(name, language)
        return compose("recovered", language, self._operators.address, component=component)
