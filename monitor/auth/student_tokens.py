"""Students' own ingest tokens: issued, rotated, confirmed and revoked. A token is shown once.

A token is bound to its student: it posts their events, in all of their classes, and reads nothing.
"""

import secrets
from datetime import date, datetime
from typing import Annotated

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.auth.keys import digest
from monitor.auth.principal import Principal
from monitor.database.paging import Id, Page
from monitor.database.resource import Invalid, Resource
from monitor.errors import Conflict, NotFound

PREFIX = "cms_"  # lets secret scanners recognise a token
MAX_ISSUED = 500  # in one call

StudentIds = Annotated[list[Id], msgspec.Meta(min_length=1, max_length=MAX_ISSUED)]


class StudentTokenFilter(Page, frozen=True, kw_only=True):
    """The page of a list of tokens, and which of them."""

    class_id: Id | UnsetType = UNSET
    student_id: Id | UnsetType = UNSET


class StudentTokenIssue(msgspec.Struct, kw_only=True):
    """For whom tokens are issued: without `student_ids`, for all students of the class.

    With `renew` those who have a valid token get another; the old one works for 24 hours more.
    """

    student_ids: StudentIds | None = None
    renew: bool = False

    def __post_init__(self) -> None:
        if self.renew and self.student_ids is None:
            raise ValueError("renew needs student_ids")


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """For how many hours more the old token works: 0 where somebody else may have it."""

    hours: Annotated[int, msgspec.Meta(ge=0, le=24)] = 24


class StudentToken(msgspec.Struct):
    """A token without its secret. It is refused from `valid_to` on.

    `class_id` is the class that it was issued for, null if that is deleted. While it is `claimed`
    it was handed out to somebody who only said that they are this student, and has not been
    confirmed: its events are not verified. `last_used_on` is a day in UTC.
    """

    id: int
    student_id: int
    user_id: str
    class_id: int | None
    created_by: str
    created_at: datetime
    valid_to: datetime | None
    claimed: bool
    last_used_on: date | None


class NewStudentToken(StudentToken):
    """A token just issued; `token` is shown only now."""

    token: Annotated[str, msgspec.Meta(min_length=1)]


_JOINS = """
    JOIN (SELECT id AS student_id, user_id FROM students) AS s USING (student_id)
    LEFT JOIN LATERAL (
        SELECT max(day) AS last_used_on FROM student_token_usage WHERE token_id = id
    ) AS u ON true
"""

STUDENT_TOKENS = Resource(StudentToken, "student_tokens", "token", _JOINS)


async def issue(
    connection: asyncpg.Connection, class_id: int, body: StudentTokenIssue, by: str
) -> list[NewStudentToken]:
    """One token for each student of the class's roster who has no valid one for the class.

    At most MAX_ISSUED, in the order of user_id; `by` names who issues them. Raises NotFound for the
    class, and Invalid if one of the `student_ids` is not on the roster as a student.
    """
    await connection.execute(_LOCK)
    if not await connection.fetchval(_SELECT_CLASS, class_id):
        raise NotFound(f"There is no class {class_id}")
    rows = await connection.fetch(_SELECT_STUDENTS, class_id, body.student_ids)
    missing = set(body.student_ids or ()) - {row["student_id"] for row in rows}
    if missing:
        raise Invalid("student_ids", f"The student {min(missing)} is not a student of the class")
    students = [row["student_id"] for row in rows if body.renew or not row["has_token"]]
    students = students[:MAX_ISSUED]
    if body.renew:
        await connection.execute(_END_RENEWED, class_id, students)
    return await _insert(connection, class_id, students, by, claimed=False)


async def claim(connection: asyncpg.Connection, class_id: int, student_id: int) -> NewStudentToken:
    """A token for somebody who says that they are this student, once for each of a class's roster.

    Raises Conflict if the student has a valid token for the class, and NotFound if they are not on
    its roster as a student.
    """
    await connection.execute(_LOCK)
    row = await connection.fetchrow(_SELECT_STUDENTS, class_id, [student_id])
    if row is None:
        raise NotFound(f"The student {student_id} is not a student of the class {class_id}")
    if row["has_token"]:
        raise Conflict("This name has been taken: ask your teacher for a link of your own")
    by = "the join page"
    (token,) = await _insert(connection, class_id, [student_id], by, claimed=True)
    return token


async def rotate(
    connection: asyncpg.Connection, token_id: int, hours: int, caller: Principal
) -> NewStudentToken:
    """A token that replaces another, which works for `hours` more. Raises NotFound.

    It is no longer claimed if the student rotates it, signed in.
    """
    await connection.execute(_LOCK)
    row = await connection.fetchrow(_END_ROTATED, token_id, hours)
    if row is None:
        raise NotFound(f"There is no token {token_id} that is valid and has not been rotated")
    claimed = row["claimed"] and row["user_id"] != caller.student
    issued = await _insert(
        connection, row["class_id"], [row["student_id"]], caller.name, claimed=claimed
    )
    return issued[0]


async def confirm(connection: asyncpg.Connection, token_id: int) -> StudentToken:
    """Says that a claimed token is in the right hands. Raises NotFound."""
    await connection.execute(_CONFIRM, token_id)
    return await STUDENT_TOKENS.get(connection, token_id)


async def revoke(connection: asyncpg.Connection, token_id: int) -> StudentToken:
    """Ends a token's validity now. Raises NotFound."""
    await connection.execute(_END, token_id)
    return await STUDENT_TOKENS.get(connection, token_id)


async def _insert(
    connection: asyncpg.Connection,
    class_id: int | None,
    student_ids: list[int],
    by: str,
    *,
    claimed: bool,
) -> list[NewStudentToken]:
    """In the order of user_id."""
    tokens = [PREFIX + secrets.token_urlsafe(24) for _ in student_ids]
    by_hash = {digest(token): token for token in tokens}
    rows = await connection.fetch(_INSERT, class_id, student_ids, list(by_hash), by, claimed)
    issued = []
    for row in rows:
        fields = dict(row)
        token = by_hash[fields.pop("sha256")]
        issued.append(NewStudentToken(**fields, token=token))
    return issued


# Taken first, for it is what the trigger of each change takes.
_LOCK = "SELECT FROM credential_changes FOR UPDATE"

_SELECT_CLASS = "SELECT EXISTS (SELECT FROM classes WHERE id = $1)"

_SELECT_STUDENTS = """
    SELECT student_id, EXISTS (
        SELECT FROM student_tokens AS t
        WHERE t.student_id = line.student_id AND t.class_id = line.class_id
            AND t.valid_to IS NULL
    ) AS has_token
    FROM student_classes AS line JOIN students ON students.id = line.student_id
    WHERE line.class_id = $1 AND line.role = 'student'
        AND ($2::bigint[] IS NULL OR line.student_id = ANY($2))
    ORDER BY user_id
"""

_END_RENEWED = """
    UPDATE student_tokens SET valid_to = now() + interval '24 hours'
    WHERE class_id = $1 AND student_id = ANY($2::bigint[]) AND valid_to IS NULL
"""

_END_ROTATED = """
    UPDATE student_tokens AS t SET valid_to = now() + make_interval(hours => $2)
    FROM students AS s
    WHERE t.id = $1 AND t.valid_to IS NULL AND s.id = t.student_id
    RETURNING t.class_id, t.student_id, t.claimed, s.user_id
"""

_END = "UPDATE student_tokens SET valid_to = LEAST(valid_to, now()) WHERE id = $1"

_CONFIRM = "UPDATE student_tokens SET claimed = false WHERE id = $1"

_INSERT_TEMPLATE = """
    WITH issued AS (
        INSERT INTO student_tokens (class_id, student_id, sha256, created_by, claimed)
        SELECT $1::bigint, student_id, sha256, $4, $5
        FROM unnest($2::bigint[], $3::bytea[]) AS t (student_id, sha256)
        RETURNING *
    )
    SELECT {columns}, sha256 FROM issued {joins} ORDER BY user_id
"""

_INSERT = _INSERT_TEMPLATE.format(columns=", ".join(StudentToken.__struct_fields__), joins=_JOINS)
