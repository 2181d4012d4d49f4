"""Invitations: the link by which students join a class, and the credentials that its page shows."""

import base64
import hashlib
import secrets
from datetime import datetime

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.auth import keys as ingest_keys
from monitor.auth import student_tokens
from monitor.auth.keys import IngestKeyCreate
from monitor.auth.student_tokens import NewStudentToken, StudentTokenIssue
from monitor.errors import Conflict, NotFound
from monitor.lms.classes import CLASSES
from monitor.lms.learner_word import LearnerWord

_CODE_BYTES = 16  # 128 bits: nobody guesses one
_KEY_NAME = "Invitation"


class Invite(msgspec.Struct):
    """An invitation to a class. `key_id` is the ingest key that its page shows.

    With `own_tokens` there is none: the page hands out each student's own token.
    """

    class_id: int
    class_name: str
    code: str
    key_id: int | None
    own_tokens: bool
    created_by: str
    created_at: datetime


class Invitation(msgspec.Struct):
    """What the page of an open invitation shows of its class."""

    class_id: int
    class_name: str
    own_tokens: bool
    join_policy: str
    learner_word: LearnerWord


def key_of(code: str) -> str:
    """The ingest key that the page of a code shows.

    It is derived, and so needs no second secret: everybody who has the code sees the page, and
    with it the key.
    """
    hashed = hashlib.sha256(b"ingest key of the invitation " + code.encode()).digest()
    return ingest_keys.PREFIX + base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


async def get(connection: asyncpg.Connection, class_id: int) -> Invite:
    """The class's open invitation. Raises NotFound if it has none."""
    row = await connection.fetchrow(_SELECT, class_id)
    if row is None:
        raise NotFound(f"The class {class_id} has no open invitation")
    return Invite(**row)


async def ensure(connection: asyncpg.Connection, class_id: int, by: str) -> Invite:
    """The class's open invitation; if there is none, a new one, created by the principal `by`.

    Raises NotFound, and Conflict for a class that is not active.
    """
    await _hold(connection, class_id)
    row = await connection.fetchrow(_SELECT, class_id)
    return Invite(**row) if row else await _create(connection, class_id, by, own_tokens=False)


async def rotate(
    connection: asyncpg.Connection, class_id: int, by: str, own_tokens: bool | UnsetType = UNSET
) -> Invite:
    """A new invitation that replaces the open one, whose key works for 24 hours more.

    `own_tokens` is that of the open one unless given. Raises NotFound, and Conflict for a class
    that is not active.
    """
    await _hold(connection, class_id)
    row = await connection.fetchrow(_SELECT, class_id)
    if row and row["key_id"] is not None:
        await ingest_keys.retire(connection, row["key_id"])
    if own_tokens is UNSET:
        own_tokens = bool(row and row["own_tokens"])
    return await _create(connection, class_id, by, own_tokens=own_tokens)


async def end(connection: asyncpg.Connection, class_id: int, *, revoke_key: bool) -> Invite:
    """Ends the open invitation, and with `revoke_key` its key as well. Raises NotFound."""
    await _lock(connection, class_id)
    ended = await get(connection, class_id)
    await connection.execute(_END, class_id)
    if revoke_key and ended.key_id is not None:
        await ingest_keys.revoke(connection, ended.key_id)
    return ended


async def open_invitation(connection: asyncpg.Connection, code: str) -> Invitation:
    """What the page of a code shows. Raises NotFound for a code that is unknown or has ended."""
    row = await connection.fetchrow(_SELECT_BY_CODE, code.replace("\0", ""))
    if row is None:
        raise NotFound("This invitation is unknown, or has ended")
    return Invitation(**row)


async def hand_out(
    connection: asyncpg.Connection, code: str, user_id: str, *, is_signed_in: bool
) -> NewStudentToken:
    """The own token of a student of the invitation's class.

    Somebody who is not signed in gets it once for each line of the roster, and it is claimed; a
    student who is signed in gets another each time. Raises NotFound, and Conflict if the token was
    handed out.
    """
    invitation = await open_invitation(connection, code)
    if not invitation.own_tokens:
        raise NotFound("This invitation has one address for all: load its page again")
    class_id = invitation.class_id
    student_id = await connection.fetchval(_SELECT_LINE, class_id, user_id)
    if student_id is None:
        raise NotFound("This ID is not on the class's roster: ask your teacher to add it")
    if not is_signed_in:
        return await student_tokens.claim(connection, class_id, student_id)
    wanted = StudentTokenIssue(student_ids=[student_id], renew=True)
    (token,) = await student_tokens.issue(connection, class_id, wanted, user_id)
    return token


async def _lock(connection: asyncpg.Connection, class_id: int) -> None:
    """Makes another change of the class's invitation wait."""
    await connection.execute(_LOCK, class_id)


async def _hold(connection: asyncpg.Connection, class_id: int) -> None:
    await _lock(connection, class_id)
    current = await CLASSES.get(connection, class_id)
    if not current.is_active:
        raise Conflict(f"The class {class_id} is archived: make it active to invite students")


async def _create(
    connection: asyncpg.Connection, class_id: int, by: str, *, own_tokens: bool
) -> Invite:
    code = secrets.token_urlsafe(_CODE_BYTES)
    key_id = None
    if not own_tokens:
        body = IngestKeyCreate(_KEY_NAME, class_id)
        key_id = (await ingest_keys.create(connection, body, by, key_of(code))).id
    await connection.execute(_END, class_id)
    await connection.execute(_INSERT, class_id, code, key_id, by)
    return await get(connection, class_id)


_LOCK = "SELECT FROM classes WHERE id = $1 FOR NO KEY UPDATE"

# A key that was rotated or revoked by itself ends its invitation, too: its page would show a key
# that does not last.
_SELECT = """
    SELECT i.class_id, c.name AS class_name, i.code, i.key_id, i.key_id IS NULL AS own_tokens,
        i.created_by, i.created_at
    FROM class_invites AS i LEFT JOIN ingest_keys AS k ON k.id = i.key_id
        JOIN classes AS c ON c.id = i.class_id
    WHERE i.class_id = $1 AND i.ended_at IS NULL AND k.valid_to IS NULL
"""

_SELECT_BY_CODE = """
    SELECT c.id AS class_id, c.name AS class_name, i.key_id IS NULL AS own_tokens, c.join_policy,
        c.learner_word
    FROM class_invites AS i LEFT JOIN ingest_keys AS k ON k.id = i.key_id
        JOIN classes AS c ON c.id = i.class_id
    WHERE i.code = $1 AND i.ended_at IS NULL AND k.valid_to IS NULL AND c.is_active
"""

_SELECT_LINE = """
    SELECT student_id FROM student_classes JOIN students ON students.id = student_id
    WHERE class_id = $1 AND user_id = $2 AND role = 'student'
"""

_END = "UPDATE class_invites SET ended_at = now() WHERE class_id = $1 AND ended_at IS NULL"

_INSERT = """
    INSERT INTO class_invites (class_id, code, key_id, created_by) VALUES ($1, $2, $3, $4)
"""
