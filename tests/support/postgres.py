"""Databases for the tests on one PostgreSQL, and what a test reads from them without the API."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg

from monitor.database.embedded.programs import binaries
from monitor.database.embedded.server import EmbeddedPostgres

Address = dict[str, Any]  # asyncpg's arguments: host, port, user, password, database

COUNTS = """
    SELECT (SELECT count(*) FROM students) AS students,
           (SELECT count(*) FROM sessions) AS sessions,
           (SELECT count(*) FROM notebooks) AS notebooks,
           (SELECT count(*) FROM cells) AS cells,
           (SELECT count(*) FROM cell_executions) AS executions,
           (SELECT count(*) FROM cell_executions WHERE status = 'error') AS errors,
           (SELECT count(*) FROM notebook_accesses) AS accesses,
           (SELECT count(*) FROM events) AS events,
           (SELECT count(*) FROM rejected_events) AS rejected
"""

PSQL_OPTIONS = ("-X", "-q", "-v", "ON_ERROR_STOP=1")

_numbers = count(1)


def address_from_url(url: str) -> Address:
    parts = urlsplit(url)
    return {
        "host": parts.hostname,
        "port": parts.port or 5432,
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password or "") or None,
        "database": parts.path.lstrip("/") or "postgres",
    }


def address_of(server: EmbeddedPostgres) -> Address:
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": None,
        "database": server.database,
    }


@asynccontextmanager
async def temporary_database(server: Address) -> AsyncIterator[Address]:
    """An empty database on that server, dropped at the end."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(**server)
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        yield {**server, "database": name}
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


def environment_of(postgres: Address, data_dir: Path) -> dict[str, str]:
    """The environment of a server that uses this database."""
    return {
        "POSTGRES_SERVER": postgres["host"],
        "POSTGRES_PORT": str(postgres["port"]),
        "POSTGRES_USER": postgres["user"],
        "POSTGRES_PASSWORD": postgres["password"] or "",
        "POSTGRES_DB": postgres["database"],
        "DATA_DIR": str(data_dir),
    }


def address_in(environment: dict[str, str]) -> Address:
    """The database of a server with this environment."""
    return {
        "host": environment["POSTGRES_SERVER"],
        "port": int(environment["POSTGRES_PORT"]),
        "user": environment["POSTGRES_USER"],
        "password": environment["POSTGRES_PASSWORD"] or None,
        "database": environment["POSTGRES_DB"],
    }


async def fetch(postgres: Address, query: str, *arguments: Any) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(**postgres)
    try:
        return [dict(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


async def row_counts(postgres: Address) -> dict[str, int]:
    """How many rows each table has, and how many executions failed."""
    (row,) = await fetch(postgres, COUNTS)
    return row


def client_command(program: str, postgres: Address, *arguments: str) -> list[str]:
    """One of PostgreSQL's client programs, for this database."""
    address = ["-h", str(postgres["host"]), "-p", str(postgres["port"])]
    user = ["-U", str(postgres["user"]), "-d", str(postgres["database"])]
    return [str(binaries() / program), *address, *user, *arguments]


def client_environment(postgres: Address) -> dict[str, str]:
    return os.environ | {"PGPASSWORD": postgres["password"] or ""}


async def run_client(program: str, postgres: Address, *arguments: str, stdin: bytes = b"") -> bytes:
    """The program's standard output. Fails with its errors."""
    done = await asyncio.to_thread(
        subprocess.run,
        client_command(program, postgres, *arguments),
        env=client_environment(postgres),
        input=stdin,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


async def psql(postgres: Address, *arguments: str, stdin: bytes = b"") -> bytes:
    return await run_client("psql", postgres, *PSQL_OPTIONS, *arguments, stdin=stdin)
