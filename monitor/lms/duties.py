"""Which teachers are in a class, and which part of it each of them looks after."""

from datetime import timedelta
from typing import Annotated, NamedTuple

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.pool import Connection
from monitor.lms.classes import CLASSES

PRESENT_TIME = timedelta(seconds=90)  # without a sign; pages give one every 30 s

_MAX_TEACHERS = 100  # in an answer
_MAX_PARTS = 100

SeatRow = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Team = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class DutyUpdate(msgspec.Struct):
    """A teacher, by the `name` that others see, is in the class.

    They look after the students of these rows of seats and of these teams; both empty: after
    everybody. What is left out stays as it is.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    seat_rows: Annotated[list[SeatRow], msgspec.Meta(max_length=_MAX_PARTS)] | UnsetType = UNSET
    teams: Annotated[list[Team], msgspec.Meta(max_length=_MAX_PARTS)] | UnsetType = UNSET


class Duty(msgspec.Struct):
    """A teacher who is in the class, and their part of it."""

    name: str
    seat_rows: list[int]
    teams: list[str]


class Duties(msgspec.Struct):
    """The teachers who are in a class, by name; also the `data` of a `duties` message."""

    teachers: list[Duty]


class DutyOutcome(NamedTuple):
    """The teachers after an update, and whether others have to know of it."""

    duties: Duties
    has_changed: bool


async def duties(connection: Connection, class_id: int) -> Duties:
    """Those who have given a sign in the past 90 s. Raises NotFound."""
    await CLASSES.get(connection, class_id)
    rows = await connection.fetch(_SELECT, class_id, PRESENT_TIME, _MAX_TEACHERS)
    return Duties([_duty(row) for row in rows])


async def update(connection: Connection, class_id: int, body: DutyUpdate) -> DutyOutcome:
    """Raises NotFound."""
    await connection.execute(_FORGET, class_id)  # the caller's own, too
    before = await duties(connection, class_id)
    await connection.execute(
        _UPDATE,
        class_id,
        body.name,
        None if body.seat_rows is UNSET else sorted(set(body.seat_rows)),
        None if body.teams is UNSET else sorted(set(body.teams)),
    )
    after = await duties(connection, class_id)
    return DutyOutcome(after, after != before)


def _duty(row: asyncpg.Record) -> Duty:
    return Duty(row["name"], row["seat_rows"], row["teams"])


_SELECT = """
    SELECT name, seat_rows, teams FROM duties
    WHERE class_id = $1 AND seen_at > now() - $2::interval ORDER BY name LIMIT $3
"""

_UPDATE = """
    INSERT INTO duties AS d (class_id, name, seat_rows, teams)
    VALUES ($1, $2, COALESCE($3::integer[], '{}'), COALESCE($4::text[], '{}'))
    ON CONFLICT (class_id, name) DO UPDATE SET
        seat_rows = COALESCE($3, d.seat_rows), teams = COALESCE($4, d.teams),
        seen_at = EXCLUDED.seen_at
"""

# A part of the room is for a lesson, or for the day.
_FORGET = "DELETE FROM duties WHERE class_id = $1 AND seen_at < now() - interval '12 hours'"
