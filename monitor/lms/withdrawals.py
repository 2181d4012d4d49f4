"""Withdrawals: what was sent with a credential in a span of time is undone, and can be replayed.

A withdrawn row stays where it is and counts for nothing, so that a retry of its event is a
duplicate; its dead letter has the event. A request makes steps, one for each student;
`monitor.jobs.withdrawing` carries them out.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id, Page
from monitor.database.resource import Invalid, Resource
from monitor.errors import Conflict, NotFound
from monitor.events.event import in_utc

State = Literal["withdrawing", "withdrawn", "replaying", "replayed"]

_EARLIEST = datetime.fromisoformat("1970-01-01T00:00:00Z")
_TIMEOUT = 120.0  # seconds for one transaction: a student may have run a million cells


class WithdrawalRequest(msgspec.Struct):
    """What was received from `since` to before `until` (default: now), of all students or some."""

    since: datetime
    until: datetime | None = None
    student_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=10_000)] | None = None


class WithdrawalFilter(Page, frozen=True, kw_only=True):
    """The page of a list of withdrawals, and of which key, token or class."""

    key_id: Id | UnsetType = UNSET
    token_id: Id | UnsetType = UNSET
    class_id: Id | UnsetType = UNSET


class Withdrawal(msgspec.Struct):
    """A withdrawal's receipt. `events` counts what is withdrawn now.

    `key_id` is the ingest key's, `token_id` the student's own token's; neither: of all keys of the
    class, in the class. `problem` is why the last step failed; it is tried again.
    """

    id: int
    key_id: int | None
    token_id: int | None
    class_id: int | None
    since: datetime
    until: datetime
    student_ids: list[int] | None
    requested_by: str
    requested_at: datetime
    state: State
    events: int
    finished_at: datetime | None
    problem: str | None


WITHDRAWALS = Resource(Withdrawal, "withdrawals", "withdrawal")


async def of_key(
    connection: asyncpg.Connection,
    key_id: int,
    request: WithdrawalRequest,
    *,
    only_class: bool,
    by: str,
) -> Withdrawal:
    """Requests it for an ingest key, by the principal of that name.

    With `only_class` what was assigned to another class stays there. Raises NotFound, Invalid.
    """
    class_id = await class_of_key(connection, key_id)
    return await _request(
        connection,
        request,
        key_id=key_id,
        class_id=class_id,
        only_class=only_class,
        credentials=[f"key {key_id}"],
        requested_by=by,
    )


async def class_of_key(connection: asyncpg.Connection, key_id: int) -> int | None:
    """The class of an ingest key. Raises NotFound."""
    key = await connection.fetchrow(_SELECT_KEY, key_id)
    if key is None:
        raise NotFound(f"There is no ingest key {key_id}")
    class_id: int | None = key["class_id"]
    return class_id


async def of_token(
    connection: asyncpg.Connection,
    token_id: int,
    request: WithdrawalRequest,
    *,
    only_class: bool,
    by: str,
) -> Withdrawal:
    """Requests it for a student's own token, wherever or `only_class`: in the class it is for.

    Raises NotFound, Invalid.
    """
    class_id = await class_of_token(connection, token_id)
    return await _request(
        connection,
        request,
        token_id=token_id,
        class_id=class_id,
        only_class=only_class,
        credentials=[f"token {token_id}"],
        requested_by=by,
    )


async def class_of_token(connection: asyncpg.Connection, token_id: int) -> int | None:
    """The class that a student's token was issued for. Raises NotFound."""
    token = await connection.fetchrow(_SELECT_ISSUED_FOR, token_id)
    if token is None:
        raise NotFound(f"There is no token {token_id}")
    class_id: int | None = token["class_id"]
    return class_id


async def of_students(
    connection: asyncpg.Connection, class_id: int, student_ids: list[int], by: str
) -> Withdrawal:
    """Requests it for all that was sent of these students with the class's keys, in this class."""
    keys = await connection.fetch(_SELECT_KEYS, class_id)
    return await _request(
        connection,
        WithdrawalRequest(_EARLIEST, None, student_ids),
        class_id=class_id,
        only_class=True,
        credentials=[f"key {key['id']}" for key in keys],
        requested_by=by,
    )


async def _request(
    connection: asyncpg.Connection,
    request: WithdrawalRequest,
    *,
    credentials: Sequence[str],
    requested_by: str,
    class_id: int | None,
    key_id: int | None = None,
    token_id: int | None = None,
    only_class: bool = False,
) -> Withdrawal:
    """Its steps are made here: what is stored later, out of a spool, needs another request."""
    since, until = in_utc(request.since), request.until and in_utc(request.until)
    if until and until <= since:
        raise Invalid("until", "until must be later than since")
    withdrawal_id = await connection.fetchval(
        _INSERT,
        key_id,
        token_id,
        class_id,
        only_class,
        credentials,
        since,
        until,
        request.student_ids,
        requested_by,
    )
    await connection.execute(_INSERT_STEPS, withdrawal_id)
    await connection.execute(_END_WITHOUT_STEPS, withdrawal_id)
    return await WITHDRAWALS.get(connection, withdrawal_id)


async def replay(connection: asyncpg.Connection, withdrawal_id: int) -> Withdrawal:
    """Requests that all of it that has not been discarded is restored.

    Raises NotFound, and Conflict while it is under way.
    """
    state = await connection.fetchval(_SELECT_STATE, withdrawal_id)
    if state is None:
        raise NotFound(f"There is no withdrawal {withdrawal_id}")
    if state not in ("withdrawn", "replayed"):
        raise Conflict(f"The withdrawal {withdrawal_id} is {state}: wait until that has ended")
    await connection.execute(_START_REPLAY, withdrawal_id)
    await connection.execute(_INSERT_REPLAY_STEPS, withdrawal_id)
    await connection.execute(_END_WITHOUT_STEPS, withdrawal_id)
    return await WITHDRAWALS.get(connection, withdrawal_id)


async def replay_letter(connection: asyncpg.Connection, letter_id: int, has_influx: bool) -> None:
    """Restores the row of one dead letter, and removes the letter. Raises NotFound.

    With `has_influx` its point is written again. Call it in a transaction.
    """
    await connection.execute(_LOCK_COUNTERS)
    row = await connection.fetchrow(_SELECT_WITHDRAWN, letter_id)
    if row is None:
        raise NotFound(f"There is no withdrawn event of the dead letter {letter_id}")
    withdrawal_id, student_id = row
    await connection.execute(_RESTORE, withdrawal_id, student_id, letter_id, 1, has_influx)
    await connection.execute(_RECOUNT, [student_id], timeout=_TIMEOUT)


_SELECT_KEY = "SELECT class_id FROM ingest_keys WHERE id = $1"

_SELECT_ISSUED_FOR = "SELECT class_id FROM student_tokens WHERE id = $1"

_SELECT_KEYS = "SELECT id FROM ingest_keys WHERE class_id = $1 ORDER BY id"

_INSERT = """
    INSERT INTO withdrawals (
        key_id, token_id, class_id, only_class, credentials, since, until, student_ids,
        requested_by)
    VALUES ($1, $2, $3, $4, $5, $6, LEAST($7, clock_timestamp()), $8, $9)
    RETURNING id
"""

_INSERT_STEPS = """
    WITH steps AS (  -- first: Citus 14 can't insert right from tables that it reads with parameters
        SELECT DISTINCT w.id, h.student_id
        FROM withdrawals AS w JOIN credential_hours AS h ON h.credential = ANY (w.credentials)
            AND h.hour > w.since - interval '1 hour' AND h.hour < w.until
        WHERE w.id = $1 AND (w.student_ids IS NULL OR h.student_id = ANY (w.student_ids))
    )
    INSERT INTO withdrawal_steps (withdrawal_id, student_id) SELECT id, student_id FROM steps
"""

_SELECT_STATE = "SELECT state FROM withdrawals WHERE id = $1 FOR UPDATE"

_START_REPLAY = """
    UPDATE withdrawals SET state = 'replaying', finished_at = NULL WHERE id = $1
"""

_INSERT_REPLAY_STEPS = """
    WITH steps AS (
        SELECT DISTINCT withdrawal_id, student_id FROM withdrawn_events WHERE withdrawal_id = $1
    )
    INSERT INTO withdrawal_steps (withdrawal_id, student_id)
    SELECT withdrawal_id, student_id FROM steps
"""

_END_WITHOUT_STEPS = """
    UPDATE withdrawals SET finished_at = now(),
        state = CASE WHEN state = 'withdrawing' THEN 'withdrawn' ELSE 'replayed' END
    WHERE id = $1 AND NOT EXISTS (SELECT FROM withdrawal_steps WHERE withdrawal_id = $1)
"""

_LOCK_COUNTERS = "SELECT pg_advisory_xact_lock(hashtext('cell-monitor progress'))"

_SELECT_WITHDRAWN = """
    SELECT withdrawal_id, student_id FROM withdrawn_events WHERE letter_id = $1
"""

_RESTORE = "SELECT restore_rows($1, $2, $3, $4, $5)"

_RECOUNT = "SELECT recount_students($1)"
