"""The reckoning: compares what was acknowledged with the tables and InfluxDB's points."""

import asyncio
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx

from tests.chaos.extension import Journal
from tests.chaos.site import BUCKET, Site

RECOVERY = 90.0  # seconds; PostgreSQL takes 30 to miss a client that the network has cut off
Point = tuple[str, int]  # student, ns


@dataclass
class Reckoning:
    """The counts of a round; `missing`, `twice` and `without_point` should be zero."""

    sent: int = 0
    acknowledged: int = 0
    missing: int = 0
    twice: int = 0
    without_point: int = 0
    refused: list[str] = field(default_factory=list)
    recovery: float = 0.0  # seconds after the lesson
    failure: str = ""  # why there was nothing to reckon

    @property
    def kept(self) -> bool:
        broken = self.missing or self.twice or self.without_point or self.refused
        return not (broken or self.failure)


async def reckon(site: Site, journal: Journal) -> Reckoning:
    """Waits until everything has recovered, and compares a lesson's answers with what is stored."""
    began = time.monotonic()
    await recovered(site)
    recovery = time.monotonic() - began
    stored = await _stored(site, journal.prefix)
    rows = Counter(event for event, _ in stored)
    lacking = {point for _, point in stored}
    while lacking := lacking - await _points(site, journal.prefix):
        if time.monotonic() - began > RECOVERY:
            break
        await asyncio.sleep(0.2)
    return Reckoning(
        journal.sent,
        len(journal.acknowledged),
        len(journal.acknowledged - rows.keys()),
        sum(count > 1 for count in rows.values()),
        len(lacking),
        journal.refused,
        recovery,
    )


async def recovered(site: Site) -> None:
    """Returns once all is stored; makes outbox rows an hour old, so that they are claimed now."""
    deadline = time.monotonic() + RECOVERY
    while not await _is_whole(site):
        assert time.monotonic() < deadline, await site.states()
        await asyncio.sleep(0.1)
    await site.execute("UPDATE outbox_points SET created_at = created_at - interval '1 hour'")


async def totals_differ(site: Site) -> list[str]:
    """Where the counters differ from the rows; none after any number of lessons."""
    connection = await site.connect()
    try:
        differing = [f"student {row[0]}: {row[1:]}" for row in await connection.fetch(_COUNTERS)]
        stored, rows = await connection.fetchrow(_LEDGER)
        return differing + ([f"ledger: {stored}, rows: {rows}"] if stored != rows else [])
    finally:
        await connection.close()


async def _is_whole(site: Site) -> bool:
    return all(
        state["postgres"]["state"] == "ok"
        and _adds_up(state["ledger"]["process"])
        and not state["spool"]["events"]
        and not state["queue"]["events"]
        and state["influxdb"]["state"] == "ok"
        for state in await site.states()
    )


def _adds_up(account: dict[str, int]) -> bool:
    return 2 * account["received"] == sum(account.values())


async def _stored(site: Site, prefix: str) -> list[tuple[uuid.UUID, Point]]:
    connection = await site.connect()
    try:
        rows = await connection.fetch(_STORED, f"{prefix}-%")
        return [(event, (student, _ns(at, event))) for event, student, at in rows]
    finally:
        await connection.close()


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


def _ns(at: datetime, event: uuid.UUID) -> int:
    milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return milliseconds * 1_000_000 + event.int % 1_000_000


HOMES = """
    SELECT student_id, executed_at AS at, event_id FROM cell_executions
    UNION ALL SELECT student_id, accessed_at, event_id FROM notebook_accesses
    UNION ALL SELECT student_id, event_time, event_id FROM events
"""
_STORED = f"""
    SELECT event_id, user_id, at FROM ({HOMES}) AS homes
    JOIN students ON students.id = student_id WHERE user_id LIKE $1
"""
_REFUSED = "SELECT raw FROM rejected_events WHERE source = 'influxdb' AND raw LIKE $1"
_COUNTERS = """
    SELECT user_id, s.executions, s.errors, found, failed
    FROM student_states AS s JOIN students ON students.id = s.student_id
    LEFT JOIN (
        SELECT student_id, class_id, count(*) AS found,
            count(*) FILTER (WHERE status = 'error') AS failed
        FROM cell_executions WHERE status <> 'rendered' AND excluded IS NULL
        GROUP BY student_id, class_id
    ) AS counted USING (student_id, class_id)
    WHERE (s.executions, s.errors) <> (COALESCE(found, 0), COALESCE(failed, 0))
"""
_LEDGER = f"""
    SELECT (SELECT sum(stored)::bigint FROM ledger), (SELECT count(*) FROM ({HOMES}) AS homes)
"""
