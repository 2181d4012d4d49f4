"""Roles of the embedded PostgreSQL: the server's own is no superuser."""

import asyncpg

from monitor.database.embedded.programs import EmbeddedPostgresError

_TIMEOUT = 60.0  # seconds to connect, and to disconnect
SERVER_ROLE = "cell_monitor"  # what the server and its commands connect as
ADMINISTRATOR = "postgres"  # the superuser, for psql by the user of the operating system


async def prepare_server_role(host: str, port: int, database: str) -> None:
    """Makes the server's role, and the owner of the database and of all in its schema `public`.

    It does nothing where that is so, and on a standby. A data directory of an earlier version, in
    which the server was the superuser, is upgraded; so is one into which a dump was restored.
    Raises EmbeddedPostgresError.
    """
    try:
        await _prepare(host, port, database)
    except asyncpg.DiskFullError as error:
        raise EmbeddedPostgresError(
            f"The disk of the embedded PostgreSQL is full ({error}): free some space, or set"
            " DATABASE_URL"
        ) from error
    except (asyncpg.PostgresError, OSError) as error:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL could not prepare the role {SERVER_ROLE} ({error}): create"
            f" the role {ADMINISTRATOR} as a superuser if it is missing, or set DATABASE_URL"
        ) from error


async def _prepare(host: str, port: int, database: str) -> None:
    connection = await asyncpg.connect(
        host=host, port=port, user=ADMINISTRATOR, database=database, timeout=_TIMEOUT
    )
    try:
        if not await connection.fetchval("SELECT pg_is_in_recovery()"):
            async with connection.transaction():
                await connection.execute(_PREPARE)
    finally:
        await connection.close(timeout=_TIMEOUT)


# Nothing of an extension, and no sequence of a column, which follows its table.
_PREPARE = f"""
    DO $$
    DECLARE
        statement text;
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SERVER_ROLE}') THEN
            CREATE ROLE {SERVER_ROLE};
        END IF;
        IF NOT EXISTS (
            SELECT FROM pg_roles WHERE rolname = '{SERVER_ROLE}' AND rolcanlogin
                AND NOT (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
        ) THEN
            ALTER ROLE {SERVER_ROLE}
                LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS;
        END IF;
        FOR statement IN
            SELECT format('ALTER DATABASE %I OWNER TO {SERVER_ROLE}', datname)
            FROM pg_database
            WHERE datname = current_database() AND datdba <> '{SERVER_ROLE}'::regrole
            UNION ALL
            SELECT format('ALTER TABLE %s OWNER TO {SERVER_ROLE}', c.oid::regclass)
            FROM pg_class AS c
            WHERE relnamespace = 'public'::regnamespace
                AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                AND relowner <> '{SERVER_ROLE}'::regrole AND NOT EXISTS (
                    SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
                        AND (deptype = 'e' OR relkind = 'S' AND deptype IN ('a', 'i'))
                )
            UNION ALL
            SELECT format('ALTER ROUTINE %s OWNER TO {SERVER_ROLE}', p.oid::regprocedure)
            FROM pg_proc AS p
            WHERE pronamespace = 'public'::regnamespace
                AND proowner <> '{SERVER_ROLE}'::regrole AND NOT EXISTS (
                    SELECT FROM pg_depend
                    WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
                )
            UNION ALL
            SELECT format('ALTER TYPE %s OWNER TO {SERVER_ROLE}', t.oid::regtype)
            FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = typrelid
            WHERE typnamespace = 'public'::regnamespace
                AND (typtype IN ('e', 'd') OR typtype = 'c' AND c.relkind = 'c')
                AND typowner <> '{SERVER_ROLE}'::regrole AND NOT EXISTS (
                    SELECT FROM pg_depend
                    WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e'
                )
        LOOP
            EXECUTE statement;
        END LOOP;
    END $$;
"""  # noqa: S608 - constants
