"""The reckoning: compares what was posted and answered with the tables and InfluxDB's points."""

import asyncio
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

from tests.chaos.counters import counters_off, is_counted
from tests.chaos.extension import Journal, Place
from tests.chaos.site import BUCKET, Site

RECOVERY = 90.0  # seconds; PostgreSQL takes 30 to miss a client that the network has cut off
Point = tuple[str, int]  # student, ns


@dataclass
class Reckoning:
    """What a round's answers promised, and what was not kept."""

    sent: int = 0
    acknowledged: int = 0
    missing: int = 0
    twice: int = 0
    misplaced: list[str] = field(default_factory=list)  # stored and posted place of each
    without_point: int = 0
    counters_off: list[str] = field(default_factory=list)  # counted and found, each
    refused: list[str] = field(default_factory=list)  # the answer to each valid event
    recovery: float = 0.0  # seconds after the lesson
    failure: str = ""  # why there was nothing to reckon

    @property
    def kept(self) -> bool:
        lost = self.missing or self.twice or self.without_point
        wrong = self.misplaced or self.counters_off or self.refused
        return not (lost or wrong or self.failure)


@dataclass(frozen=True)
class Stored:
    """A home row, with names instead of ids."""

    event_id: uuid.UUID
    place: Place
    point: Point


async def reckon(site: Site, journal: Journal) -> Reckoning:
    """Waits until everything has recovered, and compares a lesson's answers with what is stored."""
    began = time.monotonic()
    await recovered(site)
    recovery = time.monotonic() - began
    stored = await _stored(site, journal)
    rows = Counter(each.event_id for each in stored)
    lacking = {each.point for each in stored}
    while lacking := lacking - await _points(site, journal.prefix):
        if time.monotonic() - began > RECOVERY:
            break
        await asyncio.sleep(0.2)
    return Reckoning(
        sent=journal.sent,
        acknowledged=len(journal.acknowledged),
        missing=len(journal.acknowledged - rows.keys()),
        twice=sum(count > 1 for count in rows.values()),
        misplaced=[
            f"{each.place} for {posted}"
            for each in stored
            if each.place != (posted := journal.places.get(each.event_id))
        ],
        without_point=len(lacking),
        counters_off=await counters_off(site, journal.prefix),
        refused=journal.refused,
        recovery=recovery,
    )


async def recovered(site: Site) -> None:
    """Returns once all is stored; makes outbox rows an hour old, so that they are claimed now."""
    deadline = time.monotonic() + RECOVERY
    while not await _is_whole(site):
        assert time.monotonic() < deadline, await site.states()
        await asyncio.sleep(0.1)
    await site.execute("UPDATE outbox_points SET created_at = created_at - interval '1 hour'")


async def _is_whole(site: Site) -> bool:
    is_stored = all(
        state["postgres"]["state"] == "ok"
        and _adds_up(state["ledger"]["process"])
        and not state["spool"]["events"]
        and not state["queue"]["events"]
        and state["influxdb"]["state"] == "ok"
        for state in await site.states()
    )
    return is_stored and await is_counted(site)  # in this order: what is stored is counted later


def _adds_up(account: dict[str, int]) -> bool:
    return 2 * account["received"] == sum(account.values())


async def _stored(site: Site, journal: Journal) -> list[Stored]:
    """The rows of the lesson's students and of its events."""
    connection = await site.connect()
    try:
        rows = await connection.fetch(_STORED, f"{journal.prefix}-%", list(journal.places))
    finally:
        await connection.close()
    return [
        Stored(event_id, Place(student, *names), (student, point_time(at, event_id)))
        for event_id, at, student, *names in rows
    ]


async def _points(site: Site, prefix: str) -> set[Point]:
    """Those that InfluxDB holds, and those that it refused and are listed."""
    select = f"SELECT notebookPath FROM student_progress WHERE userId =~ /^{prefix}-/"
    query = {"db": BUCKET, "epoch": "ns", "q": f"{select} GROUP BY userId"}
    async with httpx.AsyncClient(timeout=30) as client:
        answer = (await client.get(f"{site.influx.url}/query", params=query)).json()
    points = {
        (series["tags"]["userId"], row[0])
        for series in answer["results"][0].get("series", [])
        for row in series["values"]
    }
    connection = await site.connect()
    try:
        for (line,) in await connection.fetch(_REFUSED, f"%userId={prefix}-%"):
            head, _, ns = line.rpartition(" ")
            student = head.partition(",userId=")[2].partition(" ")[0]
            points.add((student, int(ns)))
    finally:
        await connection.close()
    return points


def point_time(at: datetime, event: uuid.UUID) -> int:
    milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return milliseconds * 1_000_000 + event.int % 1_000_000


HOMES = """
    SELECT student_id, executed_at AS at, event_id, class_id, session_id, alias_id, cell_id
        FROM cell_executions
    UNION ALL
    SELECT student_id, accessed_at, event_id, class_id, session_id, alias_id, cell_id
        FROM notebook_accesses
    UNION ALL
    SELECT student_id, event_time, event_id, class_id, session_id, alias_id, cell_id FROM events
"""
# Ids whose rows don't belong together (a session of another student, a cell of another notebook, a
# notebook of another class) are shown as a name that nobody posts.
_STORED = f"""
    SELECT event_id, at, COALESCE(user_id, 'unknown'),
        CASE WHEN homes.class_id = 0 THEN '' ELSE COALESCE(class_code, 'unknown') END,
        CASE WHEN s.student_id = homes.student_id THEN s.session_id ELSE 'another''s' END,
        CASE WHEN a.class_id = homes.class_id THEN a.path ELSE 'another''s' END,
        CASE WHEN c.alias_id = homes.alias_id THEN c.cell_id ELSE 'another''s' END
    FROM ({HOMES}) AS homes
    LEFT JOIN students ON students.id = homes.student_id
    LEFT JOIN classes ON classes.id = homes.class_id
    LEFT JOIN sessions AS s ON s.id = homes.session_id
    LEFT JOIN notebook_aliases AS a ON a.id = homes.alias_id
    LEFT JOIN cells AS c ON c.id = homes.cell_id
    WHERE user_id LIKE $1 OR event_id = ANY ($2)
"""
_REFUSED = "SELECT raw FROM rejected_events WHERE source = 'influxdb' AND raw LIKE $1"
