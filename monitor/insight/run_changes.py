"""What a student changed between two runs of a cell, for a page of their timeline."""

import uuid
from datetime import datetime
from typing import NamedTuple

import msgspec

from monitor.database.pool import Connection
from monitor.insight.code_lines import KERNEL, Code, CodeLine
from monitor.insight.compared_lines import compared
from monitor.insight.timeline import TimelineQuery, executions
from monitor.workers.pool import Workers

_SCANNED = 500  # executions before a run among which the cell's run before it is searched


class RunChanges(msgspec.Struct):
    """A run's code, and what changed since the student's run of the cell before.

    `is_first` says that there was none among the student's 500 executions before.
    """

    event_id: uuid.UUID
    executed_at: datetime
    is_first: bool
    lines: list[CodeLine]


class _Run(NamedTuple):
    event_id: uuid.UUID
    executed_at: datetime
    code: str
    before: str | None
    kernel: str | None


class ReadRuns(NamedTuple):
    """Runs as they were read."""

    runs: list[_Run]

    async def compared(self, workers: Workers, caller: str) -> list[RunChanges]:
        """The runs with their lines. Raises as `compared_lines.compared` does."""
        asked = (Code(run.code, run.before, run.kernel) for run in self.runs)
        return [
            RunChanges(run.event_id, run.executed_at, run.before is None, lines)
            for run, lines in zip(self.runs, await compared(workers, caller, asked), strict=True)
        ]


async def run_changes(
    connection: Connection,
    classes: list[int] | None,
    student_id: int,
    query: TimelineQuery,
    *,
    is_open: bool,
) -> ReadRuns:
    """The runs of code of a page of `executions`, in its order. Raises NotFound, InvalidBody."""
    page = await executions(connection, classes, student_id, query, is_open=is_open)
    runs = {run.event_id: run for run in page.items if run.status != "rendered"}
    rows = await connection.fetch(
        _SELECT_BEFORE,
        student_id,
        [run.executed_at for run in runs.values()],
        list(runs),
        _SCANNED,
    )
    befores = {row["event_id"]: row for row in rows}
    return ReadRuns(
        [
            _Run(event_id, run.executed_at, run.code or "", each["before"], each["kernel"])
            for event_id, run in runs.items()
            if (each := befores.get(event_id))
        ]
    )


# The run before is by the student's clock, of the same cell in the same class. OFFSET 0 keeps each
# of these a look-up by the primary key; the search ends at the first one that is of the cell.
_SELECT_BEFORE = f"""
    SELECT run.event_id, run.kernel, previous.code AS before
    FROM unnest($2::timestamptz[], $3::uuid[]) AS key (executed_at, event_id)
    CROSS JOIN LATERAL (
        SELECT executed_at, event_id, cell_id, class_id, {KERNEL} AS kernel FROM cell_executions
        WHERE student_id = $1 AND executed_at = key.executed_at AND event_id = key.event_id OFFSET 0
    ) AS run
    LEFT JOIN LATERAL (
        SELECT executed_at, event_id FROM (
            SELECT executed_at, event_id, cell_id, class_id, status FROM cell_executions
            WHERE student_id = $1 AND executed_at <= run.executed_at
                AND (executed_at, event_id) < (run.executed_at, run.event_id)
            ORDER BY executed_at DESC, event_id DESC LIMIT $4
        ) AS scanned
        WHERE cell_id = run.cell_id AND class_id = run.class_id AND status <> 'rendered'
        ORDER BY executed_at DESC, event_id DESC LIMIT 1
    ) AS earlier ON true
    LEFT JOIN LATERAL (
        SELECT COALESCE(left(code, 10000), '') AS code FROM cell_executions
        WHERE student_id = $1 AND executed_at = earlier.executed_at
            AND event_id = earlier.event_id OFFSET 0
    ) AS previous ON true
"""  # noqa: S608 - constants
