"""The pictures that an execution showed, as its metadata keeps them."""

import uuid
from datetime import datetime

import msgspec

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.events.event import in_utc
from monitor.events.metadata import MAX_PICTURES_CHARACTERS
from monitor.events.outputs import MAX_PICTURES, PICTURE_TYPES
from monitor.events.outputs import Picture as KeptPicture
from monitor.insight.query import check_student


class PicturesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """An execution, by its id and time as the timeline gives them."""

    event_id: uuid.UUID
    executed_at: datetime


class Picture(msgspec.Struct):
    """A picture: its media type, its size in bytes, and the data in base64.

    `data` is null if the picture was too large to be kept.
    """

    media_type: str
    bytes: int
    data: str | None


async def pictures(
    connection: Connection, classes: list[int] | None, student_id: int, query: PicturesQuery
) -> list[Picture]:
    """Those of an execution in these classes (None: in any), in their order. Raises NotFound."""
    await check_student(connection, student_id)
    key = (student_id, in_utc(query.executed_at), query.event_id)
    row = await connection.fetchrow(_SELECT, *key, classes, MAX_PICTURES_CHARACTERS)
    if row is None:
        raise NotFound("There is no such execution")
    return _valid(row["pictures"] or "[]")[:MAX_PICTURES]


def _valid(text: str) -> list[Picture]:
    """A client may write metadata of its own: what is no picture there is not shown."""
    try:
        values = _VALUES.decode(text)
    except msgspec.ValidationError:
        return []
    kept = []
    for value in values:
        try:
            picture = _PICTURE.decode(value)
        except msgspec.ValidationError:
            continue
        if picture.mime_type in PICTURE_TYPES:
            kept.append(Picture(picture.mime_type, picture.bytes, picture.data))
    return kept


_VALUES = msgspec.json.Decoder(list[msgspec.Raw])
_PICTURE = msgspec.json.Decoder(KeptPicture)

_SELECT = """
    SELECT CASE WHEN length((metadata -> 'pictures')::text) <= 2 * $5
        THEN (metadata -> 'pictures')::text END AS pictures
    FROM cell_executions
    WHERE student_id = $1 AND executed_at = $2 AND event_id = $3
        AND ($4::bigint[] IS NULL OR class_id = ANY ($4))
"""
