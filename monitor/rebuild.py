"""Draws all points anew from PostgreSQL, into a bucket that has lost them or never had them."""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from monitor.components import influx_target
from monitor.database.dead_letters import DeadLetters
from monitor.database.migrations import Schema
from monitor.database.pool import close_pool, open_pool
from monitor.errors import Unavailable
from monitor.settings import Settings, SettingsError
from monitor.timeseries.backfill import lines_between
from monitor.timeseries.influx import WRITE_ERRORS, InfluxSink
from monitor.timeseries.outbox import Outbox

_LONGEST = 3600.0  # seconds for one statement


async def rebuild_influxdb(
    settings: Settings,
    postgres: Mapping[str, Any],
    first: datetime,
    last: datetime,
    tell: Callable[[int], None],
) -> int:
    """Writes the points of all events from `first` to before `last`; how many there are.

    Points that are there already stay as they are. Raises SettingsError without InfluxDB, and
    Unavailable when PostgreSQL or InfluxDB is away.
    """
    target = influx_target(settings)
    if target is None:
        raise SettingsError("INFLUXDB_URL: name the InfluxDB to write to")
    pool = await open_pool(postgres, 4, _LONGEST)
    sink = InfluxSink(target, Outbox(pool), DeadLetters(pool, uuid.UUID(int=0)), 0)
    try:
        await Schema(pool).ensure()
        async with pool.acquire() as connection, connection.transaction():
            async for lines in lines_between(connection, first, last):
                await sink.write(lines)
                tell(sink.written)
    except WRITE_ERRORS as error:
        raise Unavailable(f"Stopped, and may be started again: {error}") from error
    finally:
        await sink.stop(0)
        await close_pool(pool, 5)
    return sink.written
