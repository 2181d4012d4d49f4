"""Migrations: the numbered files of `sql/`, each applied once and in order, by the server or psql.

Each file checks itself whether it is applied already, so that psql can run it too: see the first.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from monitor.database import psql
from monitor.database.errors import (
    DATABASE_ERRORS,
    RUN_MIGRATE,
    UNAVAILABLE_ERRORS,
    UNUSABLE_ERRORS,
    to_unavailable,
)
from monitor.database.session import SESSION, check_session
from monitor.errors import MonitorError, Unavailable

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parent.parent
# A wheel has sql/ inside the package, a checkout beside it.
SQL = next(path / "sql" for path in (_PACKAGE, _PACKAGE.parent) if (path / "sql").is_dir())

_STATEMENT_TIMEOUT = 86_400.0  # seconds; a migration may rewrite all events
_CHECK_TIMEOUT = 2.0  # seconds
_LOCK = 1667591276  # the advisory lock that each file takes


class SchemaError(MonitorError):
    """The server can't use this schema: it is newer, or a migration failed. Says what to do."""


class SchemaBehind(Unavailable):
    """Migrations are missing, and this process may not apply them. Says who has to run what."""


class Migration(NamedTuple):
    """A file of `sql/`, called `<number>_<name>.sql`."""

    number: int
    path: Path


def all_migrations() -> tuple[Migration, ...]:
    """In order. Their numbers count up from 1."""
    paths = sorted(SQL.glob("[0-9]*_*.sql"))
    return tuple(Migration(int(path.name.partition("_")[0]), path) for path in paths)


async def missing_migrations(connection: asyncpg.Connection) -> Sequence[Migration]:
    """The migrations that the database lacks, in order; writes and locks nothing.

    Raises SchemaError if the schema is newer than this server, or another program's, or in an
    encoding that lacks characters, and Unavailable if the user may not read it.
    """
    await check_encoding(connection)
    applied = await _latest_number(connection)
    latest = all_migrations()[-1]
    if applied > latest.number:
        raise SchemaError(
            f"The database has migration {applied}, and the latest that this server knows is"
            f" {latest.path.name}: start the version that migrated the database, or a later one"
        )
    return [migration for migration in all_migrations() if migration.number > applied]


async def check_encoding(connection: asyncpg.Connection) -> None:
    """Raises SchemaError, with a statement that makes another database, unless it is UTF-8.

    Other encodings lack characters, and SQL_ASCII takes every text for bytes.
    """
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise SchemaError(
            f"The database's encoding is {encoding}, which can't store every text. Create one with"
            f" {_CREATE_DATABASE}; and name it in DATABASE_URL or POSTGRES_DB"
        )


# Whatever the locale of the server, whose default may not go with UTF-8.
_CREATE_DATABASE = (
    "CREATE DATABASE cell_monitor ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'"
    " TEMPLATE template0"
)


_NOWHERE = (
    ": start it, or check host and port in DATABASE_URL, or POSTGRES_SERVER and POSTGRES_PORT."
    " Until then events go to the spool"
)


async def check_before_start(address: Mapping[str, Any], *, is_first: bool) -> bool:
    """Whether PostgreSQL could be asked; `address` are asyncpg's connection arguments.

    Raises SchemaError where a server can't start. It starts without PostgreSQL, which may come back
    later, unless this is the first start and waiting changes nothing: a password may be wrong.
    """
    try:
        connection = await asyncpg.connect(
            **address, timeout=_CHECK_TIMEOUT, server_settings=SESSION
        )
    except (ValueError, *DATABASE_ERRORS) as error:
        if is_first and _is_lasting(error, address):
            raise SchemaError(
                f"The first start needs PostgreSQL. {to_unavailable(error)}"
            ) from error
        is_nowhere = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        advice = _NOWHERE if is_first and is_nowhere else ""
        logger.warning("The database could not be checked: %s%s", to_unavailable(error), advice)
        return False
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            await check_session(connection)
            await missing_migrations(connection)
    except asyncpg.ProtocolViolationError as error:
        raise SchemaError(str(to_unavailable(error))) from error
    except (Unavailable, *DATABASE_ERRORS) as error:
        logger.warning("The database could not be checked: %s", error)
        return False
    finally:
        connection.terminate()
    return True


def _is_lasting(error: Exception, address: Mapping[str, Any]) -> bool:
    """Whether connecting would fail later, too. A name may not be known yet, nor a socket there."""
    if isinstance(error, socket.gaierror):
        return error.errno != socket.EAI_AGAIN
    if isinstance(error, FileNotFoundError):
        return "sslrootcert=" in address.get("dsn", "")
    return isinstance(error, (ValueError, *UNUSABLE_ERRORS))


async def _latest_number(connection: asyncpg.Connection) -> int:
    """The number of the last migration that was applied; 0 if none was."""
    if not await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        return 0
    try:
        query = "SELECT COALESCE(max(number), 0) FROM schema_migrations"
        return int(await connection.fetchval(query))
    except asyncpg.UndefinedColumnError as error:
        raise SchemaError(
            "The table schema_migrations is another program's: use a database of the server's own"
            " (POSTGRES_DB)"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise to_unavailable(error) from error


async def migrate(connection: asyncpg.Connection) -> None:
    """Applies the missing migrations, each in a transaction of its own.

    `connection` must not be in a transaction. Raises SchemaError, SchemaBehind and, when PostgreSQL
    can't be used or another session holds a lock for too long, Unavailable. The failing migration
    then has changed nothing.
    """
    missing = await missing_migrations(connection)
    if not missing:
        return
    await connection.execute("SET enable_seqscan = on")  # they rewrite whole tables
    for position, migration in enumerate(missing):
        logger.info("Applying %s", migration.path.name)
        try:
            await psql.run(connection, migration.path.read_text("utf-8"), _STATEMENT_TIMEOUT)
        except psql.StatementFailed as failure:
            raise await _explain(connection, failure, missing[position:]) from failure.__cause__
    await connection.execute("RESET enable_seqscan")


async def check_schema(connection: asyncpg.Connection) -> None:
    """Returns if no migration is missing; writes and locks nothing.

    Raises SchemaBehind where one is missing, and what `missing_migrations` raises.
    """
    if missing := await missing_migrations(connection):
        raise await _behind(connection, missing)


class Schema:
    """The schema as one process sees it: migrated once, at its first connection, then compared."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._has_tried = False
        self._failure: MonitorError | None = None

    async def ensure(self) -> None:
        """Returns if the schema is the one this server needs.

        Raises SchemaError if the server can never use it, and Unavailable if it can't now.
        """
        try:
            async with self._pool.acquire() as connection:
                await self._ensure(connection)
        except UNAVAILABLE_ERRORS as error:
            raise to_unavailable(error) from error

    async def _ensure(self, connection: asyncpg.Connection) -> None:
        missing = await missing_migrations(connection)
        if missing and self._has_tried:
            reason = "the database was exchanged while this server was running"
            failure = self._failure or await _behind(connection, missing, reason)
            raise failure.with_traceback(None)  # which would grow with each attempt
        if missing:
            try:
                await migrate(connection)
            except (SchemaError, SchemaBehind) as error:
                self._failure, self._has_tried = error, True
                raise
        self._failure, self._has_tried = None, True


async def _explain(
    connection: asyncpg.Connection, failure: psql.StatementFailed, missing: Sequence[Migration]
) -> MonitorError:
    """The error to raise for a statement of the first of the missing migrations."""
    error, step, name = failure.__cause__, failure.step, missing[0].path.name
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return await _behind(connection, missing, f"this user may not apply it, {error}")
    if isinstance(error, asyncpg.LockNotAvailableError):
        return Unavailable(f"{name} waited too long for a lock. {await _holder(connection)}")
    if isinstance(error, UNAVAILABLE_ERRORS):
        return to_unavailable(error)
    hint = getattr(error, "hint", None)
    statement = step.text.partition("\n")[0]
    return SchemaError(
        f"{name} failed and changed nothing. Line {step.line}, `{statement}`: {error}"
        + (f". {hint}" if hint else "")
    )


async def _behind(
    connection: asyncpg.Connection, missing: Sequence[Migration], reason: str = ""
) -> SchemaBehind:
    owner = await connection.fetchval(_SELECT_OWNER)
    files = ", ".join(migration.path.name for migration in missing)
    because = f" ({reason})" if reason else ""
    return SchemaBehind(
        f"The schema lacks {files}{because}: {RUN_MIGRATE} with POSTGRES_USER={owner}"
    )


async def _holder(connection: asyncpg.Connection) -> str:
    """The session that holds the lock, and what to do about it."""
    row = await connection.fetchrow(_SELECT_HOLDER, _LOCK)
    if row is None:
        return "Another session uses the tables: look at pg_stat_activity, and try again"
    return (
        f"Another session ({row['application_name']}, process {row['pid']}) migrates this database:"
        f" wait and try again, or end it with SELECT pg_terminate_backend({row['pid']})"
    )


_SELECT_OWNER = """
    SELECT pg_get_userbyid(COALESCE(
        (SELECT relowner FROM pg_class WHERE oid = to_regclass('students')),
        (SELECT datdba FROM pg_database WHERE datname = current_database())
    ))
"""

_SELECT_HOLDER = """
    SELECT l.pid, a.application_name
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid = 0 AND l.objid::bigint = $1 AND l.objsubid = 1
"""
