"""The demo: a class of simulated students, which can be removed again with all that they did."""

import secrets
from typing import Annotated

import asyncpg
import msgspec

from monitor.auth import keys as ingest_keys
from monitor.auth.keys import IngestKeyCreate
from monitor.database.resource import Invalid, Name
from monitor.errors import Conflict, NotFound
from monitor.events.event import Indexed, Required
from monitor.lms import rooms
from monitor.lms.classes import CLASSES
from monitor.lms.enrolment import enrol
from monitor.lms.enrolment_rows import Enrolment, EnrolmentRows, LineNumber, SeatName
from monitor.lms.rooms import Aisles, RoomUpdate, Side


class DemoStudent(msgspec.Struct):
    """A simulated student, who is new to the server."""

    user_id: Required
    name: Indexed | None = None
    team: Indexed | None = None
    number: LineNumber | None = None
    kana: Indexed | None = None
    seat: SeatName | None = None


class DemoRoom(msgspec.Struct):
    """The room of a demo's class. There is an aisle after each of the columns in `aisles`."""

    rows: Side
    columns: Side
    aisles: Aisles = []


class DemoCreate(msgspec.Struct):
    """A demo's class, its students, and their room."""

    name: Name
    students: Annotated[list[DemoStudent], msgspec.Meta(max_length=500)]
    room: DemoRoom | None = None


class Demo(msgspec.Struct):
    """A new demo. `key` is the ingest key that its events are posted with."""

    class_id: int
    key: str


class RemovedDemo(msgspec.Struct):
    """What remains of a demo: its class, if somebody else worked in it or is on its roster."""

    class_id: int
    class_removed: bool


async def create(connection: asyncpg.Connection, body: DemoCreate, by: str) -> Demo:
    """A demo, created by the principal `by`.

    Raises Conflict if a student exists already, and InvalidBody for an impossible seat.
    """
    code = f"demo-{secrets.token_hex(4)}"
    fields = {"name": body.name, "class_code": code, "is_demo": True}
    class_id = (await CLASSES.insert(connection, fields)).id
    if body.room is not None:
        room = RoomUpdate(body.room.rows, body.room.columns, body.room.aisles)
        await rooms.update(connection, class_id, room)
    try:
        users = [each.user_id for each in body.students]
        created = await connection.fetch(_INSERT_STUDENTS, class_id, users)
    except asyncpg.UniqueViolationError:
        raise Conflict(
            "One of the students exists already, so it would not be the demo's"
        ) from None
    ids = {row["user_id"]: row["id"] for row in created}
    rows = EnrolmentRows(dict(enumerate(_enrolment(each) for each in body.students)))
    await enrol(connection, class_id, rows, dict(enumerate(ids[user] for user in users)))
    key = await ingest_keys.create(connection, IngestKeyCreate("Demo", class_id), by)
    return Demo(class_id, key.key)


def _enrolment(student: DemoStudent) -> Enrolment:
    """Raises Invalid."""
    try:
        return Enrolment(**msgspec.structs.asdict(student))
    except ValueError as error:
        raise Invalid("students", str(error)) from None


async def remove(connection: asyncpg.Connection, class_id: int) -> RemovedDemo:
    """Deletes the demo's students and what they did, and its class. Raises NotFound, and Conflict.

    Students who worked in other classes as well keep what they did there.
    """
    if not await connection.fetchval(_IS_DEMO, class_id):
        raise NotFound(f"The class {class_id} is no demo")
    try:
        removed = await connection.fetchval("SELECT remove_demo($1)", class_id)
    except asyncpg.ForeignKeyViolationError as error:
        raise Conflict(
            f"The demo {class_id} is in use: {error.detail or error}. Archive its class instead"
        ) from None
    return RemovedDemo(class_id, removed)


_INSERT_STUDENTS = """
    WITH created AS (
        INSERT INTO students (user_id) SELECT unnest($2::text[]) RETURNING id, user_id
    ), marked AS (
        INSERT INTO demo_students (class_id, student_id) SELECT $1, id FROM created
    )
    SELECT id, user_id FROM created
"""

_IS_DEMO = "SELECT is_demo FROM classes WHERE id = $1"
