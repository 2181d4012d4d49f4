"""Compares this server's clock with PostgreSQL's.

Receipts have the server's time, and what is usable, idle or now is judged by PostgreSQL's.
"""

from datetime import datetime, timedelta

import asyncpg

_TOLERANCE = timedelta(minutes=1)


async def clock_warning(
    connection: asyncpg.Connection, now: datetime, timeout: float
) -> str | None:
    """What to do if the two are more than a minute apart, else None.

    `now` is the server's time, `timeout` in seconds.
    """
    off = now - await connection.fetchval("SELECT clock_timestamp()", timeout=timeout)
    if abs(off) <= _TOLERANCE:
        return None
    direction = "ahead of" if off > timedelta(0) else "behind"
    seconds = abs(off).total_seconds()
    return (
        f"This server's clock is {seconds:.0f} s {direction} PostgreSQL's: synchronise both by NTP"
    )
