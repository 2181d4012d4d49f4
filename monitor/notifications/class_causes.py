"""What a class is notified of in a lesson: calls for help that wait, errors of many students."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from monitor.database.pool import Connection, Database
from monitor.errors import NotFound
from monitor.insight.help_queue import HelpQuery, HelpRequest, help_queue
from monitor.insight.query import shown_classes
from monitor.insight.radar import ErrorGroup, Radar, RadarQuery, error_radar
from monitor.lms.learner_word import LearnerWord
from monitor.notifications import outbox
from monitor.notifications.texts import Language, compose, error_name

_ERROR_MINUTES = 10  # that errors are looked for
_MIN_STUDENTS = 3  # at an error, in a class of any size
_MAX_CALLS = 100  # of a class that are looked at


class WatchedClass(NamedTuple):
    """A class with receivers, outside its quiet hours, in which something happened just now."""

    id: int
    name: str
    learner_word: LearnerWord
    language: Language
    help_minutes: int
    error_percent: int
    kinds: Sequence[str]


class Found(NamedTuple):
    """A cause, and the number that the message states: minutes of waiting, or students."""

    cause: str
    number: int
    error: str = ""
    students: int = 0


async def active_classes(connection: Connection, *, is_open: bool) -> list[WatchedClass]:
    """The classes to look at."""
    rows = await connection.fetch(_SELECT_ACTIVE, is_open)
    return [WatchedClass(**row) for row in rows]


async def look(database: Database, watched: WatchedClass, *, is_open: bool, address: str) -> None:
    """Notes what is new in a class, with the message about it. Raises Unavailable."""
    class_ids = shown_classes(watched.id, is_open=is_open)
    calls: list[Found] = []
    errors: list[Found] = []
    try:
        async with database.snapshot() as connection:
            if "help" in watched.kinds:
                query = HelpQuery(limit=_MAX_CALLS)
                requests = (await help_queue(connection, class_ids, query)).items
                now: datetime = await connection.fetchval("SELECT now()")
                calls = [
                    Found(f"{each.student_id} {each.asked_at.isoformat()}", minutes)
                    for each in requests
                    if (minutes := _minutes(each, now)) >= watched.help_minutes
                ]
            if "class_error" in watched.kinds:
                recent = RadarQuery(minutes=_ERROR_MINUTES)
                errors = _widespread(await error_radar(connection, class_ids, recent), watched)
    except NotFound:  # deleted meanwhile
        return
    link = f"{address}/#/class/{watched.id}" if address else ""
    if calls:
        await _notify_of_calls(database, watched, calls, f"{link}/help" if link else "")
    for error in errors:
        await _notify_of_error(database, watched, error, f"{link}/errors" if link else "")


async def _notify_of_calls(
    database: Database, watched: WatchedClass, calls: list[Found], link: str
) -> None:
    async with database.transaction() as connection:
        new = await outbox.note_capped(
            connection, watched.id, "help", [each.cause for each in calls]
        )
        if new:
            message = compose(
                "help",
                watched.language,
                link,
                watched.learner_word,
                name=watched.name,
                count=len(calls),
                minutes=max(each.number for each in calls),
            )
            await outbox.add(connection, watched.id, "help", message)


async def _notify_of_error(
    database: Database, watched: WatchedClass, error: Found, link: str
) -> None:
    async with database.transaction() as connection:
        kind = "class_error"
        if await outbox.note_capped(connection, watched.id, kind, [error.cause]):
            message = compose(
                kind,
                watched.language,
                link,
                watched.learner_word,
                name=watched.name,
                error=error_name(error.error, watched.language),
                count=error.number,
                students=error.students,
            )
            await outbox.add(connection, watched.id, kind, message)


def _minutes(request: HelpRequest, now: datetime) -> int:
    """How long a call has waited; one that a teacher has taken doesn't wait."""
    if request.taken_by is not None:
        return -1
    return int((now - request.asked_at).total_seconds() // 60)


def _widespread(radar: Radar, watched: WatchedClass) -> list[Found]:
    least = max(_MIN_STUDENTS, radar.students * watched.error_percent / 100)
    return [
        Found(_cause(group), len(group.still), group.error, radar.students)
        for group in radar.groups
        if len(group.still) >= least
    ]


def _cause(group: ErrorGroup) -> str:
    """An error of one kind in one cell of a notebook."""
    place = f"{group.notebook_id} {group.cell_id or group.cell_position}"
    return f"{place} {group.error}"[:500]


_SELECT_ACTIVE = """
    SELECT c.id, c.name, c.learner_word, r.language, r.help_minutes, r.error_percent, (
        SELECT array_agg(DISTINCT kind)
        FROM notification_receivers AS n CROSS JOIN unnest(n.kinds) AS k (kind)
        WHERE n.class_id = c.id
    ) AS kinds
    FROM notification_rules AS r JOIN classes AS c ON c.id = r.class_id
    WHERE c.is_active AND NOT is_quiet(r.time_zone, r.quiet_from, r.quiet_until)
        AND EXISTS (
            SELECT FROM notification_receivers AS n
            WHERE n.class_id = c.id AND n.kinds && ARRAY['help', 'class_error']
        )
        AND EXISTS (
            SELECT FROM student_classes AS m JOIN student_states AS s
                ON s.student_id = m.student_id
                AND (s.class_id = c.id OR $1::boolean AND s.class_id = 0)
            WHERE m.class_id = c.id AND s.last_received_at > now() - interval '2 minutes'
        )
    ORDER BY c.id
"""
