"""Who was heard in no class: students who post, and are on no roster."""

from datetime import datetime

import asyncpg
import msgspec

from monitor.auth.principal import Principal
from monitor.database.paging import Listing, Page

_MAX_DAYS = 7  # since somebody was heard


class HeardStudent(msgspec.Struct):
    """A student on no roster; `name` is what their events claim."""

    student_id: int
    user_id: str
    name: str | None
    last_received_at: datetime


async def list_heard(
    connection: asyncpg.Connection, page: Page, caller: Principal
) -> Listing[HeardStudent]:
    """Who was heard in no class in the last 7 days, the latest first.

    Instructors see those who posted with keys of their classes. Who was taken off a roster is not
    among them.
    """
    teacher = None if caller.role == "admin" else caller.name
    total = await connection.fetchval(_COUNT, teacher, _MAX_DAYS)
    rows = await connection.fetch(_SELECT_PAGE, teacher, _MAX_DAYS, page.skip, page.limit)
    return Listing([HeardStudent(**row) for row in rows], total)


_COUNT = "SELECT count(*) FROM heard_in_no_class($1, now() - make_interval(days => $2))"

_SELECT_PAGE = """
    SELECT * FROM heard_in_no_class($1, now() - make_interval(days => $2))
    ORDER BY last_received_at DESC, student_id OFFSET $3 LIMIT $4
"""
