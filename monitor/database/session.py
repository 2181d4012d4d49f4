"""The settings of each session with PostgreSQL, and whether a session has them."""

import asyncpg

# The driver asks for them when it connects.
SESSION = {
    "application_name": "cell-monitor",
    "timezone": "UTC",
    # No JIT: the planner overestimates queries of many partitions, and compiling takes longer than
    # running them.
    "jit": "off",
    # Rows are read by keys, from memory or an SSD. By the default a page out of turn costs four
    # times as much as another, and the planner would rather sort rows than read them by their key.
    "random_page_cost": "1.1",
    "synchronous_commit": "on",  # whatever the database's default: a committed batch is on disk
    # Free the locks of a session whose client vanished: they would block writers.
    "idle_in_transaction_session_timeout": "30s",
    # End a statement whose connection was cut, too: others may wait for the rows it has inserted.
    "client_connection_check_interval": "100ms",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


async def check_session(connection: asyncpg.Connection) -> None:
    """Raises asyncpg's ProtocolViolationError unless the session has the settings it asked for.

    A connection pooler may drop them. Without synchronous_commit, what is committed may be lost;
    and where sessions are shared, a prepared statement may be another client's.
    """
    await connection.execute(_CHECK)


# Nobody has our interval by default. It is one simple query, which prepares no statement; its error
# is the one by which a pooler refuses settings.
_CHECKED = ("synchronous_commit", "client_connection_check_interval")
_CONDITION = " AND ".join(f"current_setting('{name}') = '{SESSION[name]}'" for name in _CHECKED)
_CHECK = f"""
    DO $$ BEGIN
        IF NOT ({_CONDITION}) THEN
            RAISE EXCEPTION 'sessions lose their settings' USING ERRCODE = 'protocol_violation';
        END IF;
    END $$
"""
