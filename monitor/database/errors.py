"""The errors of PostgreSQL that callers can recover from, and what to do about them."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from monitor.errors import Unavailable

RUN_MIGRATE = "run `cell-monitor migrate` (in a checkout `run.py migrate`)"

# Every error of PostgreSQL or of the connection to it. asyncpg's internal errors happen on a
# connection that was terminated and not yet closed.
DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

# Not the statement's fault: PostgreSQL can't be used now; the statement may succeed later.
UNAVAILABLE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)

# The schema lacks what a statement needs, or the server's user may not use it.
SCHEMA_ERRORS = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InsufficientPrivilegeError,
)

# Somebody has to change something: trying again does not help.
MISCONFIGURED_ERRORS = (
    *SCHEMA_ERRORS,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
)

# Errors of connecting that time does not heal either.
UNUSABLE_ERRORS = (
    *MISCONFIGURED_ERRORS,
    asyncpg.ClientConfigurationError,
    asyncpg.ProtocolViolationError,
    socket.gaierror,
    ssl.SSLError,
)


class ConnectionCut(ConnectionError):
    """The connection was closed meanwhile: what the driver raised says nothing of the statement."""


# What a connection pooler does, such as PgBouncer: it refuses or drops settings of sessions.
POOLER = (
    "connect to PostgreSQL itself: the server pools its connections, and behind a pooler that"
    " shares sessions neither durability nor locks are sure"
)

_HOST = "check the host in DATABASE_URL, or POSTGRES_SERVER"
_MIGRATE = f"the schema may lack migrations: {RUN_MIGRATE} as its owner"
_ADVICE = {
    asyncpg.UndefinedTableError: _MIGRATE,
    asyncpg.UndefinedColumnError: _MIGRATE,
    asyncpg.UndefinedFunctionError: _MIGRATE,
    asyncpg.InvalidAuthorizationSpecificationError: (
        "check user and password in DATABASE_URL, or POSTGRES_USER and POSTGRES_PASSWORD"
    ),
    asyncpg.InvalidCatalogNameError: (
        "create it with CREATE DATABASE, or name another in DATABASE_URL or POSTGRES_DB"
    ),
    socket.gaierror: _HOST,
    UnicodeError: _HOST,  # no name of a host
    ssl.SSLError: "check sslmode and sslrootcert in DATABASE_URL",
    asyncpg.ClientConfigurationError: "check the options in DATABASE_URL",
    FileNotFoundError: "check the files and the socket's directory that DATABASE_URL names",
    asyncpg.ProtocolViolationError: POOLER,
    asyncpg.InsufficientPrivilegeError: (
        "grant the server's user SELECT, INSERT, UPDATE and DELETE on all tables of the schema"
    ),
    asyncpg.ReadOnlySQLTransactionError: (
        "promote this standby or set POSTGRES_SERVER to the primary; on a primary, turn"
        " default_transaction_read_only off"
    ),
}


def to_unavailable(error: Exception) -> Unavailable:
    """The error to raise for one of PostgreSQL: its message, and advice where there is some."""
    advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), None)
    message = f"PostgreSQL: {str(error) or type(error).__name__}"
    return Unavailable(f"{message}: {advice}" if advice else message)


@contextmanager
def schema_errors_as_unavailable() -> Iterator[None]:
    """Turns SCHEMA_ERRORS into Unavailable, for a job: it tries again after the migration."""
    try:
        yield
    except SCHEMA_ERRORS as error:
        raise to_unavailable(error) from error
