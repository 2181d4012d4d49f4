"""The ingest keys in memory, and in a file for a start without PostgreSQL."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from monitor.auth import keyring as keyring_module
from monitor.auth import keys, student_tokens
from monitor.auth.keyring import Keyring
from monitor.auth.keys import IngestKeyCreate
from monitor.auth.principal import Principal
from monitor.database.pool import Database
from monitor.errors import OverLimit, Unauthenticated
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


async def test_a_deleted_key_is_refused_even_if_it_was_the_latest(
    database: Database, tmp_path: Path
) -> None:
    keyring = Keyring(database, tmp_path / "ingest-keys.json", 10)
    key = await create_key(database)
    await keyring.refresh()
    assert await keyring.principal(key)
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM ingest_keys")
    await keyring.refresh()
    with pytest.raises(Unauthenticated):
        await keyring.principal(key)
    await create_key(database)
    await keyring.refresh()
    with pytest.raises(Unauthenticated):
        await keyring.principal(key)


async def test_usage_is_kept_when_writing_it_is_cancelled(
    database: Database, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    keyring = Keyring(database, tmp_path / "ingest-keys.json", 10)
    key = await create_key(database)
    await keyring.refresh()
    keyring.usage.count(await keyring.principal(key), "key 1 at here", 3)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE ingest_usage")
        writing = asyncio.create_task(keyring.refresh())
        await asyncio.wait([writing], timeout=0.3)
        writing.cancel()
        await asyncio.wait([writing])
    await keyring.stop(deadline_soon())
    assert await pool.fetchval("SELECT events FROM ingest_usage") == 3


async def create_token(database: Database, user_id: str, *, claimed: bool = False) -> str:
    """A token of a new student of a new class."""
    async with database.transaction() as connection:
        class_id = await connection.fetchval(
            "INSERT INTO classes (class_code, name) VALUES ($1, 'x') RETURNING id", user_id
        )
        student = await connection.fetchval(
            "INSERT INTO students (user_id) VALUES ($1) RETURNING id", user_id
        )
        await connection.execute(
            "INSERT INTO student_classes (class_id, student_id, role) VALUES ($1, $2, 'student')",
            class_id,
            student,
        )
        if claimed:
            return (await student_tokens.claim(connection, class_id, student)).token
        body = student_tokens.StudentTokenIssue()
        (issued,) = await student_tokens.issue(connection, class_id, body, "root")
        return issued.token


async def test_a_token_is_bound_to_its_student_also_in_the_file(
    database: Database, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    tokens = [
        await create_token(database, "ann"),
        await create_token(database, "ben", claimed=True),
    ]
    key = await create_key(database)
    keyring = Keyring(database, tmp_path / "ingest-keys.json", 10)
    await keyring.start()
    await keyring.stop(deadline_soon())
    unreachable = Keyring(Database({"host": "/nowhere"}, 1, 1.0), tmp_path / "ingest-keys.json", 10)
    await unreachable.start()
    for each in (keyring, unreachable):
        known = [await each.principal(credential) for credential in (*tokens, key)]
        classes = [principal.class_id for principal in known]
        assert known == [
            Principal("key", "token 1", class_id=classes[0], student="ann"),
            Principal("key", "token 2", class_id=classes[1], student="ben", confirmed=False),
            Principal("key", "key 1"),
        ]
        assert None not in classes[:2]
    await unreachable.stop(deadline_soon())


async def test_what_is_deleted_or_changed_is_noticed(
    database: Database, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    keyring = Keyring(database, tmp_path / "ingest-keys.json", 10)
    token, other = await create_token(database, "ann"), await create_token(database, "ben")
    key = await create_key(database)
    await keyring.refresh()
    for credential in (token, other, key):
        await keyring.principal(credential)
    await pool.execute("DELETE FROM students WHERE user_id = 'ann'")
    new = await create_key(database)  # as many as before, with as many changes
    await pool.execute("DELETE FROM classes WHERE class_code = 'ben'")
    await keyring.refresh()
    with pytest.raises(Unauthenticated):
        await keyring.principal(token)
    assert (await keyring.principal(other)).class_id is None
    assert (await keyring.principal(new)).role == "key"
    await pool.execute("DELETE FROM ingest_keys WHERE id = 1")
    await keyring.refresh()
    with pytest.raises(Unauthenticated):
        await keyring.principal(key)


async def test_a_restored_database_is_read_anew(
    database: Database, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    keyring = Keyring(database, tmp_path / "ingest-keys.json", 10)
    lost, kept = await create_key(database), await create_key(database)
    await pool.execute("UPDATE ingest_keys SET valid_to = NULL WHERE id = 1")
    await keyring.refresh()
    await keyring.principal(lost)
    async with pool.acquire() as connection:  # the state before: without the change, nor the key
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("DELETE FROM ingest_keys WHERE id = 1")
        await connection.execute("UPDATE credential_changes SET version = version - 1")
        await connection.execute("RESET session_replication_role")
    await keyring.refresh()
    with pytest.raises(Unauthenticated):
        await keyring.principal(lost)
    assert (await keyring.principal(kept)).role == "key"


async def test_a_token_has_a_quota_and_its_last_day(
    database: Database, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    keyring = Keyring(database, tmp_path / "ingest-keys.json", 10)
    token = await keyring.principal(await create_token(database, "ann"))
    keyring.usage.count(token, token.key, 6)
    await keyring.refresh()
    keyring.usage.count(token, token.key, 4)
    with pytest.raises(OverLimit):
        keyring.usage.count(token, token.key, 1)
    await keyring.refresh()
    async with database.transaction() as connection:
        listed = await student_tokens.STUDENT_TOKENS.get(connection, 1)
    assert listed.last_used_on == await pool.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
    await pool.execute("UPDATE student_token_usage SET day = day - 1")
    other = Keyring(database, tmp_path / "other.json", 10)
    other.usage.count(token, token.key, 10)


async def test_changes_in_a_loop_are_read_together(database: Database, tmp_path: Path) -> None:
    keyring = Keyring(database, tmp_path / "ingest-keys.json", 10)
    await keyring.start()
    reads = 0
    read = keyring._read_changed

    async def counted() -> None:
        nonlocal reads
        reads += 1
        await read()

    keyring._read_changed = counted  # type: ignore[method-assign]

    async def change() -> None:
        for _ in range(5):
            key = await create_key(database)
            await keyring.reload()
            assert (await keyring.principal(key)).role == "key"  # at once

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(change() for _ in range(8)))
    elapsed = asyncio.get_running_loop().time() - began
    assert reads <= 1 + elapsed / keyring_module._RELOAD_INTERVAL + elapsed / 2  # of the job
    assert reads < 20
    await keyring.stop(deadline_soon())
