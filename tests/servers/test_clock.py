"""The server's clock beside PostgreSQL's."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from monitor.database.clock import clock_warning


@pytest.mark.parametrize(
    ("off", "said"), [(-50, None), (0, None), (50, None), (-172_800, "behind"), (90, "ahead of")]
)
async def test_a_clock_more_than_a_minute_off_is_told(
    pool: asyncpg.Pool, off: int, said: str | None
) -> None:
    async with pool.acquire() as connection:
        warning = await clock_warning(connection, datetime.now(UTC) + timedelta(seconds=off), 5.0)
    assert warning is None if said is None else warning is not None and said in warning
