"""What is notified of credentials: a limit that is near, and misuse."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from monitor.database.pool import Connection, Database
from monitor.lms.learner_word import USUAL, LearnerWord, in_japanese
from monitor.notifications import outbox
from monitor.notifications.operators import Operators
from monitor.notifications.sending import Message
from monitor.notifications.texts import Language, compose

_NEAR_PERCENT = 80  # of a credential's events a day
_MIN_EVENTS = (
    100  # refused on a day (UTC) for one reason: fewer are of a student with an old address
)
_NAMES: Mapping[str, Mapping[Language, str]] = {
    "key": {"en": "The key “{}”", "ja": "キー「{}」"},
    "token": {"en": "A student's own address", "ja": "学生の専用アドレス"},
}
_NO_CLASS: Mapping[Language, str] = {"en": "No class", "ja": "クラスなし"}


class Finding(NamedTuple):
    """A cause of a class, or of none, and what its text needs. `text` is the text's name."""

    kind: str
    cause: str
    text: str
    class_id: int | None
    class_name: str | None
    learner_word: LearnerWord
    values: Mapping[str, Any]


class Reader(NamedTuple):
    """For whom a message is written; class 0 is the operators'."""

    class_id: int
    language: Language


async def look(database: Database, operators: Operators) -> None:
    """Notes what is new, with the messages about it. Raises Unavailable."""
    async with database.transaction() as connection:
        findings = await _find(connection, operators.daily_events)
        if not findings:
            return
        classes = [each.class_id for each in findings if each.class_id]
        rows = await connection.fetch(_SELECT_READERS, classes)
        readers: dict[tuple[int, str], Language] = {
            (row["id"], row["kind"]): row["language"] for row in rows
        }
        asks = operators.urls and not await outbox.is_quiet(connection, operators)
        kinds = set(operators.kinds) if asks else set()
        for finding in findings:
            class_id = finding.class_id or 0
            if language := readers.get((class_id, finding.kind)):
                await _notify(connection, finding, Reader(class_id, language), operators)
            if finding.kind in kinds:
                reader = Reader(outbox.OPERATORS, operators.language)
                await _notify(connection, finding, reader, operators)


async def _find(connection: Connection, daily_events: int) -> list[Finding]:
    limit = daily_events * _NEAR_PERCENT // 100
    findings = [
        Finding(
            "quota",
            f"{row['what']} {row['id']} {row['day']}",
            "quota",
            row["class_id"],
            row["class_name"],
            row["learner_word"] or USUAL,
            {
                "what": row["what"],
                "name": row["name"],
                "percent": min(100, row["events"] * 100 // daily_events),
                "limit": f"{daily_events:,}",
            },
        )
        for row in await connection.fetch(_SELECT_NEAR, limit)
    ]
    for row in await connection.fetch(_SELECT_MISUSED, _MIN_EVENTS):
        cause = f"{row['class_id']} {row['reason']} {row['day']}"
        values = {"count": row["count"]}
        where = row["class_id"], row["class_name"], row["learner_word"]
        findings.append(Finding("key_abuse", cause, row["reason"], *where, values))
    return findings


async def _notify(
    connection: Connection, finding: Finding, reader: Reader, operators: Operators
) -> None:
    if await outbox.note_capped(connection, reader.class_id, finding.kind, [finding.cause]):
        message = _message(finding, reader.language, operators.address)
        if reader.class_id == outbox.OPERATORS:
            await outbox.add_for_operators(connection, operators, finding.kind, message)
        else:
            await outbox.add(connection, reader.class_id, finding.kind, message)


def _message(finding: Finding, language: Language, address: str) -> Message:
    values: dict[str, Any] = defaultdict(str, finding.values)
    if finding.kind == "quota":
        named = in_japanese(_NAMES[values["what"]][language], finding.learner_word)
        values["credential"] = named.format(values.pop("name"))
    link = f"{address}/#/class/{finding.class_id}/manage" if finding.class_id and address else ""
    name = finding.class_name or _NO_CLASS[language]
    values["name"] = name
    return compose(finding.text, language, link or address, finding.learner_word, **values)


_SELECT_READERS = """
    SELECT DISTINCT c.id, kind, r.language
    FROM classes AS c JOIN notification_rules AS r ON r.class_id = c.id
    JOIN notification_receivers AS n ON n.class_id = c.id CROSS JOIN unnest(n.kinds) AS k (kind)
    WHERE c.id = ANY ($1::bigint[]) AND NOT is_quiet(r.time_zone, r.quiet_from, r.quiet_until)
"""

_SELECT_NEAR = """
    SELECT u.*, c.name AS class_name, c.learner_word FROM (
        SELECT 'key' AS what, k.id, k.name, k.class_id, u.day::text, u.events
        FROM ingest_usage AS u JOIN ingest_keys AS k ON k.id = u.key_id
        WHERE u.day = (now() AT TIME ZONE 'UTC')::date AND u.events >= $1
        UNION ALL
        SELECT 'token', t.id, '', t.class_id, u.day::text, u.events
        FROM student_token_usage AS u JOIN student_tokens AS t ON t.id = u.token_id
        WHERE u.day = (now() AT TIME ZONE 'UTC')::date AND u.events >= $1
    ) AS u LEFT JOIN classes AS c ON c.id = u.class_id
    ORDER BY what, id LIMIT 1000
"""

_SELECT_MISUSED = """
    SELECT u.*, (now() AT TIME ZONE 'UTC')::date::text AS day,
        c.name AS class_name, c.learner_word FROM (
        SELECT class_id, reason, sum(day_events)::bigint AS count
        FROM class_refusals
        WHERE last_at >= date_trunc('day', now(), 'UTC')
            AND reason IN ('ended_key', 'over_limit', 'too_many_students', 'too_many_waiting')
        GROUP BY class_id, reason HAVING sum(day_events) >= $1
        UNION ALL
        SELECT class_id, 'shared_ids', count(*)
        FROM shared_ids WHERE last_at >= date_trunc('day', now(), 'UTC') GROUP BY class_id
    ) AS u JOIN classes AS c ON c.id = u.class_id
    ORDER BY class_id, reason LIMIT 1000
"""
