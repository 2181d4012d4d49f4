"""Periodic maintenance by each replica."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from monitor.jobs import housekeeping as module
from monitor.jobs.housekeeping import Housekeeping
from monitor.pipeline.ledger import Ledger
from monitor.pipeline.queue import EventQueue
from monitor.pipeline.spool.entries import Spool
from tests.support.postgres import PSQL_OPTIONS, Address, client_command, client_environment
from tests.support.waiting import eventually

COPYING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE 'COPY classes%'
"""


@contextmanager
def copying(postgres: Address) -> Iterator[None]:
    """Somebody who has begun to copy, and says no more."""
    copy = "COPY classes (name, class_code) FROM STDIN"
    with subprocess.Popen(
        client_command("psql", postgres, *PSQL_OPTIONS, "-c", copy),
        env=client_environment(postgres) | {"PGAPPNAME": "cell-monitor"},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as client:
        yield
        client.kill()


async def test_a_copy_whose_client_stands_still_lets_go_of_its_locks(
    pool: asyncpg.Pool, postgres: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ABANDONED_AFTER", 0.2)
    monkeypatch.setattr(module, "_INTERVAL", 0.3)
    spool = Spool.open(tmp_path, 1_000_000)
    keeper = Housekeeping(pool, Ledger(EventQueue(1, 1), spool), 1)
    with copying(postgres):
        await eventually(lambda: pool.fetchval(COPYING))
        await keeper.start()
        await eventually(lambda: pool.fetchval(COPYING), lambda copies: copies == 0)
    await keeper.stop(0)
    await spool.close()


async def test_logins_that_have_ended_are_deleted(pool: asyncpg.Pool, tmp_path: Path) -> None:
    insert = """
        INSERT INTO login_sessions
            (sha256, provider, user_id, role, name, tokens, expires_at, due_at)
        VALUES (sha256($1::text::bytea), '', $1, 'student', '', '',
            now() + $2 * interval '1 minute', now())
    """
    await pool.executemany(insert, [("hanako", -1.0), ("taro", 5.0)])
    spool = Spool.open(tmp_path, 1_000_000)
    keeper = Housekeeping(pool, Ledger(EventQueue(1, 1), spool), 7)
    await keeper.start()
    query = "SELECT array_agg(user_id) FROM login_sessions"
    await eventually(lambda: pool.fetchval(query), lambda people: people == ["taro"])
    await keeper.stop(0)
    await spool.close()


async def test_dead_letters_expire_unless_they_are_of_withdrawn_events(
    pool: asyncpg.Pool, tmp_path: Path
) -> None:
    insert = """
        INSERT INTO rejected_events (digest, received_at, source, path, reason, raw)
        VALUES (sha256($1::text::bytea), now() - $2 * interval '1 day', $1, '', '', '')
    """
    await pool.executemany(insert, [("ingest", 8.0), ("handler", 6.0), ("withdrawn", 300.0)])
    spool = Spool.open(tmp_path, 1_000_000)
    keeper = Housekeeping(pool, Ledger(EventQueue(1, 1), spool), 7)
    await keeper.start()
    query = "SELECT array_agg(source ORDER BY source) FROM rejected_events"
    await eventually(
        lambda: pool.fetchval(query), lambda sources: sources == ["handler", "withdrawn"]
    )
    await keeper.stop(0)
    await spool.close()
