"""What was noticed, and what waits to be sent.

A cause is noted once, in the transaction of its message.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from monitor.database.pool import Connection
from monitor.notifications.operators import Operators
from monitor.notifications.sending import Message, Problem

OPERATORS = 0  # in place of a class

_MAX_PER_HOUR = 6  # notifications of a class and kind, whatever students send
_PAUSE = timedelta(minutes=1)  # between two of them; the next one is about all that is new
LAPSE_OF_HEALTH = timedelta(minutes=5)
_LAPSE = {  # after so long without a sign it is another cause
    "help": timedelta(minutes=10),
    "class_error": timedelta(hours=1),
    "quota": timedelta(days=2),
    "key_abuse": timedelta(days=2),
    "health": LAPSE_OF_HEALTH,
}
_LEFT = timedelta(days=1)  # then nobody says any more that a part is well again
_KEPT = timedelta(days=30)
_CLAIM = timedelta(seconds=90)  # longer than a receiver may take
_FIRST_BACKOFF = 15  # seconds; doubled after each further failure
_MAX_TRIES = 6
_GIVEN_UP_AFTER = timedelta(minutes=30)


class Delivery(NamedTuple):
    """A message to send, which this replica has claimed. Of operators `url` is None."""

    id: int
    receiver_id: int | None
    operator_digest: str | None
    url: str | None
    title: str
    body: str
    tries: int


async def note_causes(
    connection: Connection,
    class_id: int,
    kind: str,
    causes: Sequence[str],
    replica: str | None = None,
) -> set[str]:
    """Which of these causes are new. Another replica that notes them waits for this commit.

    `replica` is the one that sees them, where they are not seen in PostgreSQL.
    """
    names = sorted(set(causes))
    rows = await connection.fetch(_NOTE_CAUSES, class_id, kind, names, _LAPSE[kind], replica)
    return {row["cause"] for row in rows if row["is_new"]}


async def hold_causes(connection: Connection, class_id: int, kind: str) -> None:
    """Locks these causes, for who notes several times in one transaction: no deadlock."""
    await connection.execute(_HOLD_CAUSES, class_id, kind)


async def note_known(
    connection: Connection,
    class_id: int,
    kind: str,
    causes: Sequence[str],
    replica: str | None = None,
) -> None:
    """Notes that those of these causes which were notified hold on. The others stay new."""
    await connection.execute(_NOTE_KNOWN, class_id, kind, causes, _LAPSE[kind], replica)


async def note_capped(
    connection: Connection, class_id: int, kind: str, causes: Sequence[str]
) -> set[str]:
    """As `note_causes`; none are new while the class has had enough of these for now."""
    row = await connection.fetchrow(_RECENT, class_id, kind, _PAUSE)
    if row["recent"] or row["hourly"] >= _MAX_PER_HOUR:
        await note_known(connection, class_id, kind, causes)
        return set()
    return await note_causes(connection, class_id, kind, causes)


async def take_recovered(
    connection: Connection, well: Collection[str], shared: Collection[str], replica: str
) -> list[str]:
    """Which parts are well again, for the lapse of such a cause; each once.

    `well` are those that `replica` has seen well for so long. Parts that are not `shared` each
    replica has for itself: it speaks only for its own.
    """
    rows = await connection.fetch(
        _TAKE_RECOVERED, LAPSE_OF_HEALTH, list(well), list(shared), replica
    )
    return sorted(row["cause"] for row in rows)


async def add(connection: Connection, class_id: int, kind: str, message: Message) -> None:
    """Adds a message for the class's receivers of this kind."""
    rows = await connection.fetch(_LOCK_RECEIVERS, class_id, kind)
    await connection.execute(_ADD, class_id, kind, *message, [row["id"] for row in rows])


async def add_for_operators(
    connection: Connection, operators: Operators, kind: str, message: Message
) -> None:
    """Adds a message for each of the operators' receivers."""
    await connection.execute(_ADD_FOR_OPERATORS, kind, *message, list(operators.by_digest))


async def claim(
    connection: Connection, operators: Operators, limit: int, *, failing: bool
) -> list[Delivery]:
    """Messages that are due, those first that were not tried yet. Not in quiet hours.

    With `failing` for receivers of classes that have not taken the latest message, else for others.
    """
    digests = list(operators.by_digest)
    zone = operators.time_zone, *operators.quiet
    rows = await connection.fetch(_CLAIM_DUE, digests, *zone, _CLAIM, limit, failing)
    return [Delivery(**row) for row in rows]


async def settle(connection: Connection, delivery: Delivery, problem: Problem | None) -> None:
    """Ends a delivery, or puts it off after a failure. Answers of 4xx other than 429 are final."""
    is_final = problem in ("invalid", "refused") or (
        problem is not None and problem.startswith("http_4") and problem != "http_429"
    )
    if problem is None or is_final or delivery.tries + 1 >= _MAX_TRIES:
        await connection.execute(_END, delivery.id)
    else:
        backoff = timedelta(seconds=_FIRST_BACKOFF * 2**delivery.tries)
        await connection.execute(_PUT_OFF, delivery.id, backoff)


async def take_round(connection: Connection, interval: timedelta) -> bool:
    """Whether this replica looks for causes now; for so long no other one does."""
    return bool(await connection.fetchval(_TAKE_ROUND, interval))


async def expire(connection: Connection) -> None:
    """Deletes what is over; of parts of the server what nobody has seen well again in a day."""
    for kind, lapse in _LAPSE.items():
        await connection.execute(_EXPIRE_CAUSES, kind, _LEFT if kind == "health" else lapse)
    await connection.execute(_EXPIRE_DELIVERIES, _GIVEN_UP_AFTER)
    await connection.execute(_EXPIRE, _KEPT)


async def is_quiet(connection: Connection, operators: Operators) -> bool:
    """Whether these are the operators' quiet hours."""
    quiet: Any = await connection.fetchval(_IS_QUIET, operators.time_zone, *operators.quiet)
    return bool(quiet)


_RECENT = """
    SELECT count(*) AS hourly, COALESCE(bool_or(created_at > now() - $3::interval), false) AS recent
    FROM notifications
    WHERE class_id = $1 AND kind = $2 AND created_at > now() - interval '1 hour'
"""

_HOLD_CAUSES = """
    SELECT FROM notification_causes WHERE class_id = $1 AND kind = $2 ORDER BY cause FOR UPDATE
"""

_NOTE_CAUSES = """
    INSERT INTO notification_causes AS c (class_id, kind, cause, replica)
    SELECT $1, $2, cause, $5 FROM unnest($3::text[]) AS t (cause) ORDER BY cause
    ON CONFLICT (class_id, kind, cause) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at,
        replica = EXCLUDED.replica,
        first_seen_at = CASE WHEN c.last_seen_at < EXCLUDED.last_seen_at - $4::interval
            THEN EXCLUDED.last_seen_at ELSE c.first_seen_at END
    RETURNING cause, first_seen_at = last_seen_at AS is_new
"""

_NOTE_KNOWN = """
    UPDATE notification_causes SET last_seen_at = now(), replica = $5
    WHERE class_id = $1 AND kind = $2 AND cause = ANY ($3::text[])
        AND last_seen_at >= now() - $4::interval
"""

_TAKE_RECOVERED = """
    DELETE FROM notification_causes
    WHERE kind = 'health' AND last_seen_at < now() - $1::interval AND cause = ANY ($2::text[])
        AND (cause = ANY ($3::text[]) OR replica = $4)
    RETURNING cause
"""

_LOCK_RECEIVERS = """
    SELECT id FROM notification_receivers WHERE class_id = $1 AND $2 = ANY (kinds)
    ORDER BY id FOR KEY SHARE
"""

# It reads no table: Citus 14 can't insert what it has selected where a column's default is a clock.
_ADD = """
    WITH added AS (
        INSERT INTO notifications (class_id, kind, title, body) VALUES ($1, $2, $3, $4)
        RETURNING id
    )
    INSERT INTO notification_deliveries (notification_id, receiver_id)
    SELECT added.id, t.receiver_id
    FROM added CROSS JOIN unnest($5::bigint[]) AS t (receiver_id)
"""

_ADD_FOR_OPERATORS = """
    WITH added AS (
        INSERT INTO notifications (class_id, kind, title, body) VALUES (0, $1, $2, $3)
        RETURNING id
    )
    INSERT INTO notification_deliveries (notification_id, operator_digest)
    SELECT added.id, t.digest FROM added CROSS JOIN unnest($4::text[]) AS t (digest)
"""

_CLAIM_DUE = """
    WITH due AS (
        SELECT d.id FROM notification_deliveries AS d
        LEFT JOIN notification_receivers AS r ON r.id = d.receiver_id
        LEFT JOIN notification_rules AS s ON s.class_id = r.class_id
        WHERE d.due_at <= now() AND CASE WHEN d.receiver_id IS NULL
            THEN d.operator_digest = ANY ($1::text[])
                AND NOT is_quiet($2, $3::text::time, $4::text::time)
            ELSE NOT is_quiet(s.time_zone, s.quiet_from, s.quiet_until) END
            AND (r.problem IS NOT NULL) = $7
        ORDER BY d.tries, d.due_at, d.id LIMIT $6 FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE notification_deliveries AS d SET due_at = now() + $5::interval
    FROM due, notifications AS n
    WHERE d.id = due.id AND n.id = d.notification_id
    RETURNING d.id, d.receiver_id, d.operator_digest, (
        SELECT url FROM notification_receivers WHERE id = d.receiver_id
    ) AS url, n.title, n.body, d.tries
"""

_END = "DELETE FROM notification_deliveries WHERE id = $1"

_PUT_OFF = """
    UPDATE notification_deliveries SET tries = tries + 1, due_at = now() + $2::interval
    WHERE id = $1
"""

_TAKE_ROUND = """
    UPDATE notification_round SET due_at = now() + $1::interval WHERE due_at <= now()
    RETURNING true
"""

_EXPIRE_CAUSES = """
    DELETE FROM notification_causes
    WHERE kind = $1 AND last_seen_at < now() - $2::interval
"""

_EXPIRE_DELIVERIES = """
    DELETE FROM notification_deliveries AS d USING notifications AS n
    WHERE n.id = d.notification_id AND n.created_at < now() - $1::interval AND d.due_at <= now()
"""

_EXPIRE = "DELETE FROM notifications WHERE created_at < now() - $1::interval"

_IS_QUIET = "SELECT is_quiet($1, $2::text::time, $3::text::time)"
