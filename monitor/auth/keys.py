"""Ingest keys: created, rotated and revoked. A key is shown once, to its creator."""

import hashlib
import secrets
from datetime import datetime
from typing import Annotated

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id, Page
from monitor.database.resource import Name, Resource
from monitor.errors import NotFound

PREFIX = "cmk_"  # lets secret scanners recognise a key


class IngestKeyFilter(Page, frozen=True, kw_only=True):
    """The page of a list of keys, and which of them."""

    class_id: Id | UnsetType = UNSET


class IngestKeyCreate(msgspec.Struct):
    """A new key. Students who post with the key of a class are enrolled in it."""

    name: Name
    class_id: Id | None = None


class IngestKey(msgspec.Struct):
    """A key without its secret. It is refused from `valid_to` on."""

    id: int
    class_id: int | None
    name: str
    created_by: str
    created_at: datetime
    valid_to: datetime | None


class NewIngestKey(IngestKey):
    """A key just created; `key` is shown only now."""

    key: Annotated[str, msgspec.Meta(min_length=1)]


INGEST_KEYS = Resource(IngestKey, "ingest_keys", "ingest key")


def digest(key: str) -> bytes:
    """The hash that is stored. Keys are random, so a fast hash is as safe as a slow one."""
    return hashlib.sha256(key.encode()).digest()


async def create(
    connection: asyncpg.Connection, body: IngestKeyCreate, by: str, key: str | None = None
) -> NewIngestKey:
    """A new key, created by the principal of the name `by`: `key`, or a random one.

    Raises Unknown for its class.
    """
    key = key or PREFIX + secrets.token_urlsafe(32)
    created = await INGEST_KEYS.insert(
        connection,
        {"class_id": body.class_id, "name": body.name, "sha256": digest(key), "created_by": by},
    )
    return NewIngestKey(**msgspec.structs.asdict(created), key=key)


async def rotate(connection: asyncpg.Connection, key_id: int, by: str) -> NewIngestKey:
    """A new key that replaces another, which works for 24 hours more. Raises NotFound."""
    old = await retire(connection, key_id)
    return await create(connection, IngestKeyCreate(old.name, old.class_id), by)


async def retire(connection: asyncpg.Connection, key_id: int) -> IngestKey:
    """Ends a key's validity in 24 hours. Raises NotFound."""
    if await connection.fetchval(_RETIRE, key_id) is None:
        raise NotFound(f"There is no valid ingest key {key_id}")
    return await INGEST_KEYS.get(connection, key_id)


async def revoke(connection: asyncpg.Connection, key_id: int) -> IngestKey:
    """Ends a key's validity now. Raises NotFound."""
    await connection.execute(_REVOKE, key_id)
    return await INGEST_KEYS.get(connection, key_id)


_RETIRE = """
    UPDATE ingest_keys SET valid_to = LEAST(valid_to, now() + interval '24 hours')
    WHERE id = $1 AND (valid_to IS NULL OR valid_to > now()) RETURNING id
"""

_REVOKE = "UPDATE ingest_keys SET valid_to = LEAST(valid_to, now()) WHERE id = $1"
