"""A database that was dumped and restored goes on where it was."""

import os
import subprocess

import asyncpg

from monitor.database.embedded.server import binaries
from monitor.database.migrations import Schema
from monitor.database.pool import close_pool, open_pool
from tests.conftest import Address, database
from tests.servers.test_progress import ACTIVITY, CELLS, rows, sink_on
from tests.support.factories import made, now, soon


def run(program: str, address: Address, *arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run(
        [
            *(str(binaries() / program), "-h", address["host"], "-p", str(address["port"])),
            *("-U", address["user"], "-d", address["database"], *arguments),
        ],
        env={**os.environ, "PGPASSWORD": address["password"] or ""},
        input=given,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


async def test_a_dump_may_be_taken_while_batches_wait_to_be_counted(
    pool: asyncpg.Pool, postgres_server: Address, postgres: Address
) -> None:
    time = now()
    await sink_on(pool).write([made(time=time), made(time=time, type="cell_error")], soon())
    await pool.execute("SELECT count_batches(10)")
    await sink_on(pool).write([made(time=time), made(time=time, type="help")], soon())
    dump = run("pg_dump", postgres)
    async with database(postgres_server) as address:
        run("psql", address, "-X", "-q", "-v", "ON_ERROR_STOP=1", given=dump)
        restored = await open_pool(address, 5, 5.0)
        await Schema(restored).ensure()
        for each in (pool, restored):
            await sink_on(each).write([made(time=time)], soon())
            await each.execute("SELECT count_batches(10)")
        for query in (CELLS, ACTIVITY):
            assert await rows(restored, query) == await rows(pool, query)
        assert {row[2:4] for row in await rows(restored, CELLS)} == {(4, 1)}
        await close_pool(restored, 5.0)
