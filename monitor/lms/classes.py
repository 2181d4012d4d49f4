"""Classes, and how one ends and is copied for the next term."""

from datetime import datetime
from typing import Annotated, Literal

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Page
from monitor.database.resource import Name, Resource, values
from monitor.errors import Conflict
from monitor.events.event import Indexed, Required
from monitor.lms.learner_word import USUAL, LearnerWord

JoinPolicy = Literal["open", "approve", "roster"]
NewNames = Annotated[int, msgspec.Meta(ge=0, le=100_000, description="A day, by UTC")]
StuckErrors = Annotated[int, msgspec.Meta(ge=2, le=100, description="Errors in a row")]
StuckMinutes = Annotated[int, msgspec.Meta(ge=1, le=120, description="Without a success")]


class ClassFilter(Page, frozen=True, kw_only=True):
    """A page of classes, only the one with a code if given."""

    class_code: Indexed | UnsetType = UNSET


class ClassCreate(msgspec.Struct):
    """A new class. `class_code` is unique.

    `join_policy` says what happens to a student who posts with the class's key and is not on its
    roster: enrolled (`open`; beyond `max_new_names` a day as with `approve`), waiting until a
    teacher lets them in (`approve`), or refused (`roster`).

    A student is stuck after `stuck_errors` errors in a row, or after failing at one cell for
    `stuck_minutes` without a success there.

    `learner_word` is what Japanese texts call the learners: 学生 (`student`) or 生徒 (`pupil`).
    """

    name: Name
    class_code: Required
    description: str | None = None
    is_active: bool = True
    join_policy: JoinPolicy = "open"
    max_new_names: NewNames = 500
    stuck_errors: StuckErrors = 3
    stuck_minutes: StuckMinutes = 5
    learner_word: LearnerWord = USUAL


class ClassUpdate(msgspec.Struct):
    """Changes of a class: fields that are left out stay as they are.

    `is_active: false` puts the class away: its keys end, now and for good; it can still be read.
    """

    name: Name | UnsetType = UNSET
    class_code: Required | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    join_policy: JoinPolicy | UnsetType = UNSET
    max_new_names: NewNames | UnsetType = UNSET
    stuck_errors: StuckErrors | UnsetType = UNSET
    stuck_minutes: StuckMinutes | UnsetType = UNSET
    learner_word: LearnerWord | UnsetType = UNSET


class ClassCopy(msgspec.Struct):
    """The name and the code of a copy of a class."""

    name: Name
    class_code: Required


class ClassResponse(msgspec.Struct):
    """A class; one that was put away is not `is_active`. Students of a demo are simulated."""

    id: int
    name: str
    class_code: str
    description: str | None
    is_active: bool
    join_policy: JoinPolicy
    max_new_names: int
    stuck_errors: int
    stuck_minutes: int
    learner_word: LearnerWord
    is_demo: bool
    created_at: datetime
    updated_at: datetime


_PROTECTED = "events, which are never deleted: `is_active: false` puts it away"
CLASSES = Resource(ClassResponse, "classes", "class", protected=_PROTECTED)


async def update(connection: asyncpg.Connection, class_id: int, body: ClassUpdate) -> ClassResponse:
    """Changes a class; the keys of one that was put away end. Raises NotFound, InUse."""
    changed = await CLASSES.update(connection, class_id, values(body))
    if not changed.is_active:
        await connection.execute(_END_KEYS, class_id)
    return changed


async def copy(connection: asyncpg.Connection, class_id: int, body: ClassCopy) -> ClassResponse:
    """A class with the settings, room, notebooks and assignments of another, without due dates.

    It has no roster. Raises NotFound, InUse.
    """
    original = await CLASSES.get(connection, class_id)
    kept = (
        *("description", "join_policy", "max_new_names"),
        *("stuck_errors", "stuck_minutes", "learner_word"),
    )
    created = await CLASSES.insert(
        connection, {**values(body), **{name: getattr(original, name) for name in kept}}
    )
    await connection.execute(_COPY_ROOM, class_id, created.id)
    await connection.execute(_COPY_NOTEBOOKS, class_id, created.id)
    await connection.execute(_COPY_ASSIGNMENTS, class_id, created.id)
    return created


async def delete(connection: asyncpg.Connection, class_id: int) -> ClassResponse:
    """Deletes a class with its roster, its keys and its notebooks.

    Raises NotFound, and Conflict where it has assignments or events.
    """
    deleted = await CLASSES.delete(connection, class_id)
    try:
        await connection.execute(_DELETE_NOTEBOOKS, class_id)
    except asyncpg.ForeignKeyViolationError:  # an event has named one in this moment
        raise Conflict(f"The class {class_id} has {_PROTECTED}") from None
    return deleted


_END_KEYS = """
    UPDATE ingest_keys SET valid_to = now()
    WHERE class_id = $1 AND (valid_to IS NULL OR valid_to > now())
"""

# What is copied is a query of its own: Citus 14 can't insert right from tables that it reads with
# parameters.
_COPY_ROOM = """
    WITH room AS (SELECT seat_rows, seat_columns, aisles FROM rooms WHERE class_id = $1)
    INSERT INTO rooms (class_id, seat_rows, seat_columns, aisles)
    SELECT $2, seat_rows, seat_columns, aisles FROM room
"""

_COPY_NOTEBOOKS = """
    WITH used AS (
        SELECT DISTINCT n.path, n.name FROM class_assignments AS a
        JOIN notebooks AS n ON n.id = a.notebook_id WHERE a.class_id = $1
    )
    INSERT INTO notebooks (class_id, path, name) SELECT $2, path, name FROM used
"""

_COPY_ASSIGNMENTS = """
    WITH those AS (
        SELECT a.id, copied.id AS notebook_id, a.title, a.description, a.points
        FROM class_assignments AS a JOIN notebooks AS n ON n.id = a.notebook_id
        JOIN notebooks AS copied ON copied.class_id = $2 AND copied.path = n.path
        WHERE a.class_id = $1
    )
    INSERT INTO class_assignments (class_id, notebook_id, title, description, points)
    SELECT $2, notebook_id, title, description, points FROM those ORDER BY id
"""

_DELETE_NOTEBOOKS = "DELETE FROM notebooks WHERE class_id = $1"
