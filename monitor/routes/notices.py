"""`/notices`: messages from an operator or a teacher to everybody or to a class."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Literal

import msgspec

from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.database.resource import Unknown
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit
from monitor.live.history import Publication
from monitor.lms.classes import CLASSES


class NoticeCreate(msgspec.Struct):
    """A notice to the class `class_id`, or to everybody."""

    message: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
    level: Literal["info", "warning", "error"] = "info"
    class_id: Id | None = None


class Notice(msgspec.Struct, rename="camel"):
    """The `data` of a `system_message`."""

    message: str
    level: str
    class_id: int | None


class NoticeResponse(msgspec.Struct):
    """A notice as it was sent."""

    message: str
    level: str
    class_id: int | None
    channel: str
    sent_at: datetime


def declare(api: Api, publish: Callable[[Iterable[Publication]], None]) -> None:
    """`publish` sends messages to subscribers."""

    @api.operation("POST", "/notices", status=201)
    async def create_notice(
        connection: Connection, after_commit: AfterCommit, body: NoticeCreate
    ) -> NoticeResponse:
        """Sends a `system_message` to the clients that are connected now."""
        channel, now = "broadcast", datetime.now(UTC)
        if body.class_id is not None:
            channel = f"class:{body.class_id}"
            try:
                await CLASSES.get(connection, body.class_id)
            except NotFound:
                raise Unknown("class_id", body.class_id) from None
        notice = Notice(body.message, body.level, body.class_id)
        channels = [channel] if body.class_id is None else [channel, f"notices:{body.class_id}"]
        after_commit(partial(publish, [Publication("system_message", channels, now, notice)]))
        return NoticeResponse(body.message, body.level, body.class_id, channel, now)
