"""Monthly partitions of the event tables."""

from collections.abc import Iterable
from datetime import UTC, datetime

import asyncpg

from monitor.database.errors import RUN_MIGRATE
from monitor.errors import Unavailable
from monitor.events.event import OLDEST

DAYS_BACK = OLDEST.days
MONTHS_AHEAD = 12
NEXT_MONTHS = 3  # what a server creates itself
MIN_MONTHS_AHEAD = 2  # below this, /health warns


class PartitionMissing(Unavailable):
    """A month has no partition, and the server's user may not create one."""


def month_of(time: datetime) -> datetime:
    """The start of its month, in UTC."""
    time = time.astimezone(UTC)
    return datetime(time.year, time.month, 1, tzinfo=UTC)


async def ensure_partitions(connection: asyncpg.Connection, months: Iterable[datetime]) -> None:
    """Creates what events of these months need. Raises PartitionMissing.

    A month whose partition was detached gets another one, for its late events.
    """
    for month in sorted(months):
        hint = f"if it was detached: SELECT ensure_month('{month:%Y-%m}-01')"
        await _create(connection, f"{month:%Y-%m} ({hint})", _CREATE_MONTH, month)


async def create_next_partitions(connection: asyncpg.Connection) -> None:
    """Creates those of this month and the next NEXT_MONTHS. Raises PartitionMissing."""
    await _create(connection, f"some of the next {NEXT_MONTHS} months", _CREATE_NEXT, NEXT_MONTHS)


async def create_partitions(connection: asyncpg.Connection) -> None:
    """Creates those from DAYS_BACK to MONTHS_AHEAD. Raises PartitionMissing."""
    await _create(connection, "some of the months", _CREATE_ALL, DAYS_BACK, MONTHS_AHEAD)


async def _create(
    connection: asyncpg.Connection, months: str, query: str, *arguments: object
) -> None:
    try:
        await connection.execute(query, *arguments)
    except asyncpg.InsufficientPrivilegeError as error:
        raise PartitionMissing(
            f"There is no partition for {months}, and this user may not create one:"
            f" {RUN_MIGRATE} as the owner of the schema"
        ) from error


async def missing_partitions(connection: asyncpg.Connection) -> list[str]:
    """The names of partitions that `create_partitions` would create, by month."""
    rows = await connection.fetch(_SELECT_MISSING, DAYS_BACK, MONTHS_AHEAD)
    return [row["name"] for row in rows]


async def months_ahead(connection: asyncpg.Connection, timeout: float) -> int:
    """How many months after this one have partitions without a gap, at most MONTHS_AHEAD.

    Raises one of DATABASE_ERRORS; TimeoutError after `timeout` seconds.
    """
    value = await connection.fetchval(_SELECT_AHEAD, MONTHS_AHEAD, timeout=timeout)
    return int(value)


async def partition_warning(connection: asyncpg.Connection, timeout: float) -> str | None:
    """What an operator has to do if partitions are about to run out; None if there are enough.

    Takes and raises what `months_ahead` does.
    """
    ahead = await months_ahead(connection, timeout)
    if ahead >= MIN_MONTHS_AHEAD:
        late = await late_partitions(connection, timeout)
        return _LATE_WARNING.format(", ".join(late)) if late else None
    return (
        f"Partitions exist for {ahead} more months only: {RUN_MIGRATE} as the owner of the schema"
    )


async def late_partitions(connection: asyncpg.Connection, timeout: float) -> list[str]:
    """The names of partitions with late events of months that have been detached.

    Takes and raises what `months_ahead` does.
    """
    rows = await connection.fetch(_SELECT_LATE, timeout=timeout)
    return [row["name"] for row in rows]


_PARENTS = "unnest(ARRAY['cell_executions', 'notebook_accesses', 'events']) AS parent"

# Months and names are those of the SQL function ensure_partitions.
_SELECT_MISSING = f"""
    SELECT name FROM (
        SELECT month, parent || to_char(month, '_YYYY_MM') AS name
        FROM {_PARENTS}, generate_series(
            date_trunc('month', (now() - make_interval(days => $1)) AT TIME ZONE 'UTC'),
            (now() + make_interval(months => $2)) AT TIME ZONE 'UTC', '1 month'
        ) AS month
    ) AS partitions
    WHERE to_regclass(name) IS NULL ORDER BY month, name
"""  # noqa: S608 - constants

_LATE_WARNING = (
    "Months that were detached have late events, in {}: see docs/operations.md, Retention"
)

_SELECT_LATE = r"""
    SELECT relname AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE relkind = 'r' AND relname ~ '_\d{4}_\d\d(_late)+$' ORDER BY relname
"""

_CREATE_MONTH = "SELECT ensure_month($1)"

_CREATE_ALL = """
    SELECT ensure_partitions(now() - make_interval(days => $1), now() + make_interval(months => $2))
"""

_CREATE_NEXT = "SELECT ensure_partitions(now(), now() + make_interval(months => $1))"

_SELECT_AHEAD = f"""
    SELECT COALESCE(min(number), $1 + 1) - 1
    FROM {_PARENTS}, generate_series(1, $1::integer) AS number
    WHERE to_regclass(parent || to_char(
        date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => number), '_YYYY_MM'
    )) IS NULL
"""  # noqa: S608 - constants
