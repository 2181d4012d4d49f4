"""Rebuilds a lost or new InfluxDB bucket: writes the points of all events in PostgreSQL."""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from monitor.addresses import influx_target
from monitor.database.dead_letters import DeadLetters
from monitor.database.migrations import SchemaBehind, check_schema
from monitor.database.pool import close_pool, open_pool
from monitor.errors import Unavailable
from monitor.settings import Settings, SettingsError
from monitor.timeseries.backfill import lines_between
from monitor.timeseries.influx import InfluxSink
from monitor.timeseries.influx_client import WRITE_ERRORS
from monitor.timeseries.outbox import PointsOutbox

_STATEMENT_TIMEOUT = 3600.0  # seconds


async def rebuild_influxdb(
    *,
    settings: Settings,
    postgres: Mapping[str, Any],
    since: datetime,
    until: datetime,
    report: Callable[[int], None],
) -> int:
    """Writes the points of all events from `since` to before `until`; returns how many.

    `postgres` are asyncpg's connection arguments; `report` gets the number of points written so
    far after each batch. Points that are already there stay as they are. Raises SettingsError
    without INFLUXDB_URL, SchemaBehind where migrations are missing, and Unavailable if PostgreSQL
    or InfluxDB is down.
    """
    target = influx_target(settings)
    if target is None:
        raise SettingsError("INFLUXDB_URL: name the InfluxDB to write to")
    pool = await open_pool(postgres, 4, _STATEMENT_TIMEOUT)
    sink = InfluxSink(target, PointsOutbox(pool), DeadLetters(pool, uuid.UUID(int=0)), 0)
    try:
        async with pool.acquire() as connection:
            await check_schema(connection)
        async for lines in lines_between(pool, since, until):
            await sink.write(lines)
            report(sink.written)
    except SchemaBehind:  # running it again would not help
        raise
    except WRITE_ERRORS as error:
        raise Unavailable(f"Stopped; run the command again to finish: {error}") from error
    finally:
        await sink.stop(0)
        await close_pool(pool, 5)
    return sink.written
