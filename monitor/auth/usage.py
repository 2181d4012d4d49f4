"""The events of keys and students' tokens by day, and the daily quota."""

from collections import defaultdict
from datetime import UTC, date, datetime

from monitor.auth.principal import Principal
from monitor.database.pool import Database
from monitor.errors import OverLimit
from monitor.shares import Refusals


class Usage:
    """Counts the events of each key and token of today (UTC), over all replicas.

    They are counted in memory and written every few seconds: replicas together may exceed the quota
    by what they take in that time. The sums of those that come near the quota are read each time.

    Of a key that a class shares, one address has half of the day's quota, at each replica.
    """

    def __init__(self, database: Database, daily_events: int) -> None:
        self.refusals = Refusals("events a day")
        self._database = database
        self._daily_events = daily_events
        self._unwritten: dict[str, int] = {}
        self._today: dict[str, int] = {}
        self._day = date.min
        self._by_payer: dict[str, int] = {}  # of keys that a class shares

    def count(self, caller: Principal, payer: str, events: int) -> None:
        """Counts events of a key or a token; fewer than none are taken back.

        Raises OverLimit beyond the daily quota of the credential, or of the payer.
        """
        name, is_shared = caller.name, payer != caller.key
        unwritten = self._unwritten.get(name, 0) + events
        own = self._by_payer.get(payer, 0) + events if is_shared else 0
        if events > 0:
            if unwritten + self._today.get(name, 0) > self._daily_events:
                raise self._over(f"At most {self._daily_events} events a day with one key")
            if 2 * own > self._daily_events:
                raise self._over(
                    f"At most {self._daily_events // 2} events a day with one key from one address"
                )
        self._unwritten[name] = unwritten
        if is_shared:
            self._by_payer[payer] = own

    async def write(self) -> None:
        """Adds what was counted to PostgreSQL, and reads the sums. Raises Unavailable."""
        unwritten, self._unwritten = self._unwritten, {}
        near = {name: 0 for name, events in self._today.items() if 2 * events > self._daily_events}
        try:
            await self._add(near | unwritten)
        except BaseException:  # of PostgreSQL, or that this was cancelled
            for name, events in unwritten.items():
                self._unwritten[name] = self._unwritten.get(name, 0) + events
            raise

    async def _add(self, counts: dict[str, int]) -> None:
        by_kind: dict[str, dict[int, int]] = defaultdict(dict)
        for name, events in counts.items():
            kind, _, row_id = name.partition(" ")
            by_kind[kind][int(row_id)] = events
        sums: list[tuple[str, int]] = []
        async with self._database.transaction() as connection:
            for kind, events_by_id in sorted(by_kind.items()):
                columns = list(events_by_id), list(events_by_id.values())
                sums += await connection.fetch(_ADD[kind], *columns)
            day = await connection.fetchval(_TODAY)
            if day != self._day:
                sums = await connection.fetch(_SELECT_ALL)
        if day != self._day:
            self._today, self._day, self._by_payer = {}, day, {}
        self._today.update(sums)

    def _over(self, message: str) -> OverLimit:
        """Until the next day."""
        self.refusals.refused += 1
        now = datetime.now(UTC)
        return OverLimit(message, 86_400 - (now.hour * 3600 + now.minute * 60 + now.second))


_TODAY = "SELECT (now() AT TIME ZONE 'UTC')::date"

_SELECT_ALL = """
    SELECT 'key ' || key_id, events FROM ingest_usage WHERE day = (now() AT TIME ZONE 'UTC')::date
    UNION ALL
    SELECT 'token ' || token_id, events FROM student_token_usage
    WHERE day = (now() AT TIME ZONE 'UTC')::date
"""

# Citus 14 fails on INSERT … SELECT from a table with an expression among the selected columns.
_ADD_TEMPLATE = """
    WITH known AS (SELECT id FROM {credentials} WHERE id = ANY ($1::bigint[]))
    INSERT INTO {table} AS u ({kind}_id, day, events)
    SELECT id, (now() AT TIME ZONE 'UTC')::date, t.events
    FROM unnest($1::bigint[], $2::bigint[]) AS t (id, events) JOIN known USING (id)
    ORDER BY id
    ON CONFLICT ({kind}_id, day) DO UPDATE SET events = u.events + EXCLUDED.events
    RETURNING '{kind} ' || {kind}_id, events
"""

_ADD = {
    "key": _ADD_TEMPLATE.format(kind="key", table="ingest_usage", credentials="ingest_keys"),
    "token": _ADD_TEMPLATE.format(
        kind="token", table="student_token_usage", credentials="student_tokens"
    ),
}
