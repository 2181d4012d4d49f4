"""The database goes back in time, and issues ids anew that servers know as another's."""

import asyncio
import random
import shutil

import asyncpg

from monitor.database.embedded.programs import binaries
from monitor.database.embedded.server import EmbeddedPostgres
from tests.chaos.site import Site
from tests.support.postgres import Address, address_of, psql, run_client

RESTORES = 5  # tries: the servers' own work may be in the way


async def dump_restored(site: Site, outage: float) -> None:
    """A dump is restored into the same server, in place or into a database made anew."""
    address = address_of(site.postgres)
    dump = await run_client("pg_dump", address)
    await site.lesson.send_unrecorded()
    if random.random() < 0.5:
        await _restore_in_place(address, dump)
        return
    connection = await asyncpg.connect(**{**address, "database": "template1"})
    await connection.execute(f"DROP DATABASE {address['database']} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {address['database']} TEMPLATE template0")
    await connection.close()
    await psql(address, stdin=dump)


async def _restore_in_place(address: Address, dump: bytes) -> None:
    """The servers keep their connections, and see all of it at once."""
    replacement = b"BEGIN; DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n" + dump + b"COMMIT;"
    for left in reversed(range(RESTORES)):
        try:
            await psql(address, stdin=replacement)
        except AssertionError:
            if not left:
                raise
        else:
            return


async def standby_promoted(site: Site, outage: float) -> None:
    """The primary is lost, and its standby, which lacks the last commits, takes over.

    A base backup that ends its recovery is one: it has a timeline of its own from then on.
    """
    old, new = site.postgres, EmbeddedPostgres(site.new_directory("standby"), watchdog=True)
    program = (str(binaries() / "pg_basebackup"), "-D", str(new.data), "--checkpoint=fast")
    backup = await asyncio.create_subprocess_exec(*program, "-h", old.host, "-U", old.user)
    assert await backup.wait() == 0
    (new.data / "recovery.signal").touch()
    with (new.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\n")
    await site.lesson.send_unrecorded()
    await site.kill_postgres()
    await asyncio.sleep(random.uniform(0, min(outage, 2)))
    await asyncio.to_thread(old.stop)
    await asyncio.to_thread(new.start)
    site.replace_postgres(new)
    shutil.rmtree(old.directory)
