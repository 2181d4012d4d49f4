"""The ingest keys in memory, and in a file for a start without PostgreSQL."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from monitor.auth import keys
from monitor.auth.keyring import Keyring
from monitor.auth.keys import IngestKeyCreate
from monitor.database.pool import Database
from monitor.errors import Unauthenticated
from tests.support.factories import deadline_soon
from tests.support.waiting import eventually


async def create_key(database: Database) -> str:
    async with database.transaction() as connection:
        return (await keys.create(connection, IngestKeyCreate("a key"), "root")).key


async def test_keys_work_without_their_file_and_health_says_so(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "ingest-keys.json"
    path.mkdir()
    keyring = Keyring(database, path, 10)
    key = await create_key(database)
    await keyring.start()
    assert (await keyring.principal(key)).role == "key"
    with pytest.raises(Unauthenticated):
        await keyring.principal("unknown")
    health = await keyring.health()
    assert health.state == "degraded"
    assert health.error
    assert "can't be kept for a start without PostgreSQL" in health.error
    path.rmdir()
    await eventually(keyring.health, lambda health: health.state == "ok")
    assert path.is_file()
    await keyring.stop(deadline_soon())


@pytest.mark.parametrize("content", [b"", b"[[1]]", b"\xff\xfe"])
async def test_a_broken_file_is_replaced(
    database: Database, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "ingest-keys.json"
    path.write_bytes(content)
    keyring = Keyring(database, path, 10)
    await keyring.start()
    assert path.read_bytes() == b"[]"
    await keyring.stop(deadline_soon())


async def test_usage_is_kept_when_writing_it_is_cancelled(
    database: Database, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    keyring = Keyring(database, tmp_path / "ingest-keys.json", 10)
    key = await create_key(database)
    await keyring.refresh()
    keyring.count(await keyring.principal(key), 3)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE ingest_usage")
        writing = asyncio.create_task(keyring.refresh())
        await asyncio.wait([writing], timeout=0.3)
        writing.cancel()
        await asyncio.wait([writing])
    await keyring.stop(deadline_soon())
    assert await pool.fetchval("SELECT events FROM ingest_usage") == 3
