"""Who waits to be let into a class: listed, let in, or refused."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.members import members
from monitor.database.paging import Id, Listing, Page
from monitor.lms import withdrawals
from monitor.lms.classes import CLASSES

MAX_DAYS = 30  # that somebody waits before housekeeping refuses them
_MAX_DECISIONS = 1_000  # in one call


class Decision(msgspec.Struct):
    """Who is let in or refused: these, or without `student_ids` the first 1,000 who wait."""

    student_ids: Annotated[list[Id], msgspec.Meta(max_length=_MAX_DECISIONS)] | UnsetType = UNSET


class WaitingStudent(msgspec.Struct):
    """Somebody who posts with the class's key and has waited since `waiting_since` to be let in.

    `name` and `team` are as the class would show them: mostly what their events in it claim.
    """

    student_id: int
    user_id: str
    name: str | None
    team: str | None
    waiting_since: datetime
    credential: str | None
    executions: int
    last_received_at: datetime | None


async def list_waiting(
    connection: asyncpg.Connection, class_id: int, page: Page
) -> Listing[WaitingStudent]:
    """The longest waiting first. Raises NotFound."""
    await CLASSES.get(connection, class_id)
    total = await connection.fetchval(_COUNT, class_id)
    rows = await connection.fetch(_SELECT_PAGE, class_id, page.skip, page.limit)
    return Listing([WaitingStudent(**row) for row in rows], total)


async def admit(
    connection: asyncpg.Connection, class_id: int, decision: Decision
) -> list[WaitingStudent]:
    """Puts those who wait on the roster; what they did counts from now on. Raises NotFound.

    Returns them. Ids of others are ignored: somebody else may have decided meanwhile.
    """
    waiting = await _lock(connection, class_id, decision)
    await connection.execute(_ADMIT, class_id, [each.student_id for each in waiting])
    return waiting


async def refuse(
    connection: asyncpg.Connection, class_id: int, decision: Decision, by: str
) -> list[WaitingStudent]:
    """Takes those who wait off the class for good, and withdraws what they did in it.

    Returns them, as `admit` does. Raises NotFound.
    """
    waiting = await _lock(connection, class_id, decision)
    if waiting:
        await _remove(connection, class_id, [each.student_id for each in waiting], by)
    return waiting


async def expire(connection: asyncpg.Connection) -> None:
    """Refuses those who have waited for MAX_DAYS; at most 1,000, the others at the next call."""
    by_class: defaultdict[int, list[int]] = defaultdict(list)
    for row in await connection.fetch(_LOCK_EXPIRED, MAX_DAYS, _MAX_DECISIONS):
        by_class[row["class_id"]].append(row["student_id"])
    for class_id, student_ids in by_class.items():
        await _remove(connection, class_id, student_ids, "housekeeping")


async def _lock(
    connection: asyncpg.Connection, class_id: int, decision: Decision
) -> list[WaitingStudent]:
    await CLASSES.get(connection, class_id)
    wanted = None if decision.student_ids is UNSET else decision.student_ids
    rows = await connection.fetch(_LOCK, class_id, wanted, _MAX_DECISIONS)
    ids = [row["student_id"] for row in rows]
    return [WaitingStudent(**row) for row in await connection.fetch(_SELECT, class_id, ids)]


async def _remove(
    connection: asyncpg.Connection, class_id: int, student_ids: Sequence[int], by: str
) -> None:
    """What was sent of theirs with the class's keys is withdrawn, in the background."""
    await connection.execute(_REMOVE, class_id, student_ids, by)
    await withdrawals.of_students(connection, class_id, list(student_ids), by)


_COUNT = "SELECT count(*) FROM student_classes WHERE class_id = $1 AND role = 'waiting'"

_SELECT_WAITING = f"""
    SELECT student_id, user_id, name, team, joined_at AS waiting_since, joined_by AS credential,
        executions, last_received_at
    FROM ({members(is_open="false")}) AS m WHERE class_id = $1 AND role = 'waiting'
"""  # noqa: S608 - constants

_SELECT_PAGE = _SELECT_WAITING + " ORDER BY joined_at, student_id OFFSET $2 LIMIT $3"

_SELECT = _SELECT_WAITING + " AND student_id = ANY($2::bigint[]) ORDER BY user_id"

# In the order in which rosters are written, to avoid deadlocks.
_LOCK = """
    SELECT student_id FROM student_classes WHERE class_id = $1 AND role = 'waiting'
        AND student_id IN (
            SELECT student_id FROM student_classes WHERE class_id = $1 AND role = 'waiting'
                AND ($2::bigint[] IS NULL OR student_id = ANY($2))
            ORDER BY joined_at, student_id LIMIT $3
        )
    ORDER BY student_id FOR UPDATE
"""

_LOCK_EXPIRED = """
    SELECT student_id, class_id FROM student_classes
    WHERE role = 'waiting' AND joined_at < now() - make_interval(days => $1)
    ORDER BY student_id, class_id LIMIT $2 FOR UPDATE
"""

# From now on on the roster, as if a teacher had enrolled them: not among the new names of the day.
_ADMIT = """
    UPDATE student_classes SET role = 'student', joined_at = now(), joined_by = NULL
    WHERE class_id = $1 AND student_id = ANY($2::bigint[])
"""

_REMOVE = """
    WITH removed AS (
        DELETE FROM student_classes WHERE class_id = $1 AND student_id = ANY($2::bigint[])
        RETURNING student_id
    )
    INSERT INTO class_removals (student_id, class_id, removed_by)
    SELECT student_id, $1, $3 FROM removed
    ON CONFLICT (student_id, class_id) DO UPDATE SET
        removed_at = EXCLUDED.removed_at, removed_by = EXCLUDED.removed_by
"""
