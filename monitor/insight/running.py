"""Whether a student is running a cell: SQL of views."""

from datetime import timedelta

from monitor.events.types import RENDERED, RUN_ENDS, START

RUN_TIMEOUT = timedelta(minutes=60)  # without an event, after which who runs a cell is idle, too
_LOOK_BACK = "12 hours"  # a run that began earlier is not shown


def _list(names: frozenset[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


# Of a row of `events`: whether it is the start of a run.
STARTED = f"event_type = '{START}' AND COALESCE(cell_type, '') NOT IN ({_list(RENDERED)})"


def idle_interval(idle_after: str) -> str:
    """A SQL interval: how long after the last event a student is idle, who may have a `run`."""
    return f"""
        CASE WHEN run.running_since IS NULL THEN {idle_after}::interval
            ELSE GREATEST({idle_after}::interval, interval '{RUN_TIMEOUT.total_seconds()} s') END
    """


def still_running(*, rows: str) -> str:
    """A SQL condition: that nothing has ended the run that began at `started_at`.

    `rows` gives the rows of a home table since then, and perhaps earlier ones of a clock that is
    ahead, as `rows.format(table=…, time=…)`: at (the time put right), alias_id, cell_id and the
    table's own columns. The run is described by columns of the outer query: started_at,
    started_alias and started_cell.

    A run ends with an execution of its cell or, as the queue is dropped then, with a failure in its
    notebook; also when the notebook is opened again or closed, and with RUN_ENDS.
    """
    executions = rows.format(table="cell_executions", time="executed_at")
    events = rows.format(table="events", time="event_time")
    accesses = rows.format(table="notebook_accesses", time="accessed_at")
    return f"""
        NOT EXISTS (
            SELECT FROM ({executions}) AS e
            WHERE e.status <> 'rendered' AND e.at >= started_at AND (
                e.cell_id = started_cell OR e.at > started_at AND (
                    started_cell IS NULL AND started_alias IS NULL
                    OR e.alias_id = started_alias AND (started_cell IS NULL OR e.status = 'error')
                )
            )
        ) AND NOT EXISTS (
            SELECT FROM ({events}) AS e
            WHERE e.event_type IN ({_list(RUN_ENDS)}) AND e.at > started_at
                AND (e.alias_id IS NULL OR e.alias_id = started_alias)
        ) AND NOT EXISTS (
            SELECT FROM ({accesses}) AS e
            WHERE e.action IN ('open', 'close') AND e.at > started_at AND e.alias_id = started_alias
        )
    """  # noqa: S608 - constants


_ROWS = """
    SELECT *, put_right(received_at, {time}, clock_offset) AS at FROM {table}
    WHERE student_id = m.student_id AND class_id IN (m.class_id, m.no_class)
        AND excluded IS NULL
        AND {time} >= m.started_at - m.greatest_offset * interval '1 microsecond'
        AND {time} < now() + interval '2 days'
"""

# A lateral subquery for a row `m` of `members`: `running_since` and `running_cell_id`, or no row.
# The state alone says of most runs that they have ended: with the latest event that names a cell.
RUNNING = f"""LATERAL (
    SELECT started_at AS running_since, cells.cell_id AS running_cell_id
    FROM (SELECT m.started_at, m.started_alias, m.started_cell) AS run
    LEFT JOIN cells ON cells.id = started_cell
    WHERE started_at > now() - interval '{_LOOK_BACK}'
        AND (m.cell_id = started_cell AND m.cell_at > started_at AND m.cell_at = m.last_run_at)
            IS NOT TRUE
        AND {still_running(rows=_ROWS)}
    OFFSET 0
)"""  # noqa: S608 - constants
