"""What a class turned away, who shares an id in it, and who of its roster was never heard."""

from datetime import datetime
from typing import Literal

import asyncpg
import msgspec

from monitor.database.members import members
from monitor.lms.classes import CLASSES

# `removed`: of somebody who was taken off the roster; these events are stored, in no class.
# `too_many_cells` and `too_many_notebooks`: a student named more in this class than is kept apart;
# these events are stored in it, in no cell or no notebook. `too_many_sessions`: likewise in a day,
# in no session. `too_many_students`: of more new ones than may be named in a day; not stored.
Reason = Literal[
    "not_on_roster",
    "too_many_waiting",
    "removed",
    "ended_key",
    "over_limit",
    "too_many_cells",
    "too_many_notebooks",
    "too_many_sessions",
    "too_many_students",
]

_MAX_DAYS = 30  # that refusals and shared ids are kept after their last time
_MAX_NAMES = 500  # in one answer


class Refusal(msgspec.Struct):
    """What was turned away for one reason.

    `senders` is from how many: user ids, of which `user_ids` has the latest, or addresses where
    nobody read the events (`ended_key`, `over_limit`); `is_more` if there were more than that.
    """

    reason: Reason
    events: int
    senders: int
    is_more: bool
    user_ids: list[str]
    first_at: datetime
    last_at: datetime


class Person(msgspec.Struct):
    """Somebody on the roster."""

    student_id: int
    user_id: str
    name: str | None


class SharedId(Person):
    """A student whose id two sessions used at a time, from two addresses."""

    first_at: datetime
    last_at: datetime


class ClassRefusals(msgspec.Struct):
    """Lists have at most 500 entries; `never_heard` is the number of `silent` students in all."""

    refusals: list[Refusal]
    shared_ids: list[SharedId]
    never_heard: int
    silent: list[Person]


async def of_class(connection: asyncpg.Connection, class_id: int, is_open: bool) -> ClassRefusals:
    """On an open server also what somebody did in no class counts as heard. Raises NotFound."""
    await CLASSES.get(connection, class_id)
    refusals = await connection.fetch(_SELECT_REFUSALS, class_id)
    shared = await connection.fetch(_SELECT_SHARED, class_id, is_open, _MAX_NAMES)
    silent = await connection.fetch(_SELECT_SILENT, class_id, is_open, _MAX_NAMES)
    return ClassRefusals(
        refusals=[Refusal(**row) for row in refusals],
        shared_ids=[SharedId(**row) for row in shared],
        never_heard=silent[0]["total"] if silent else 0,
        silent=[Person(row["student_id"], row["user_id"], row["name"]) for row in silent],
    )


async def expire(connection: asyncpg.Connection) -> None:
    """Deletes what did not happen again for 30 days."""
    await connection.execute(_EXPIRE_REFUSALS, _MAX_DAYS)
    await connection.execute(_EXPIRE_SHARED, _MAX_DAYS)


_SELECT_REFUSALS = """
    SELECT reason, sum(events)::bigint AS events,
        count(*) FILTER (WHERE user_id <> '') AS senders,
        bool_or(user_id = '') AS is_more,
        COALESCE((array_agg(user_id ORDER BY last_at DESC, user_id) FILTER (
            WHERE user_id <> '' AND reason NOT IN ('ended_key', 'over_limit')
        ))[:20], '{}') AS user_ids,
        min(first_at) AS first_at, max(last_at) AS last_at
    FROM class_refusals WHERE class_id = $1 GROUP BY reason ORDER BY last_at DESC, reason
"""

_MEMBERS = members(is_open="$2::boolean")

_SELECT_SHARED = f"""
    SELECT m.student_id, m.user_id, m.name, i.first_at, i.last_at
    FROM ({_MEMBERS}) AS m
    JOIN shared_ids AS i ON i.student_id = m.student_id AND i.class_id = m.class_id
    WHERE m.class_id = $1 AND m.role IN ('student', 'waiting')
    ORDER BY i.last_at DESC, m.student_id LIMIT $3
"""  # noqa: S608 - constants

_SELECT_SILENT = f"""
    SELECT count(*) OVER () AS total, student_id, user_id, name
    FROM ({_MEMBERS}) AS m
    WHERE class_id = $1 AND role = 'student' AND last_received_at IS NULL
    ORDER BY user_id LIMIT $3
"""  # noqa: S608 - constants

_EXPIRE_REFUSALS = "DELETE FROM class_refusals WHERE last_at < now() - make_interval(days => $1)"

_EXPIRE_SHARED = "DELETE FROM shared_ids WHERE last_at < now() - make_interval(days => $1)"
