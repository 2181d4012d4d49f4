"""Since when a student fails at one cell: SQL of views."""

# A lesson: what was tried before it says nothing about now.
LOOK_BACK = "interval '3 hours'"
_MAX_RUNS = 300  # of a student, the newest: who runs more costs the class no more


def failing(*, rows: str, condition: str) -> str:
    """A lateral subquery: `failing_since` and `failing_cell_id`, or no row.

    They are of the cell in which the latest of the student's runs failed, where `condition` says
    that it did: the first failure there, of those after the last success there. What the student
    runs elsewhere meanwhile changes nothing, such as the imports above before each attempt.

    `rows` gives the runs of the last LOOK_BACK: at (the time put right), alias_id, cell_id and
    status.
    """
    return f"""LATERAL (
        SELECT at AS failing_since, cells.cell_id AS failing_cell_id
        FROM (
            SELECT min(at) AS at, cell_id FROM (
                SELECT at, alias_id, cell_id, status, max(at) FILTER (WHERE status = 'success')
                    OVER (PARTITION BY alias_id, cell_id) AS solved_at
                FROM ({rows}) AS run WHERE status IN ('error', 'success')
            ) AS run
            WHERE status = 'error' AND (solved_at IS NULL OR at > solved_at)
            GROUP BY alias_id, cell_id ORDER BY max(at) DESC LIMIT 1
        ) AS first
        LEFT JOIN cells ON cells.id = first.cell_id
        WHERE {condition}
        OFFSET 0
    )"""  # noqa: S608 - constants


_NEWEST = f"""
    SELECT put_right(received_at, executed_at, clock_offset) AS at, alias_id, cell_id, status
    FROM cell_executions
    WHERE student_id = m.student_id AND class_id IN (m.class_id, m.no_class)
        AND status IN ('error', 'success') AND excluded IS NULL
        AND executed_at > now() - {LOOK_BACK} - m.greatest_offset * interval '1 microsecond'
    ORDER BY executed_at DESC LIMIT {_MAX_RUNS}
"""  # noqa: S608 - constants

# For a row `m` of `members`. Of those whom nobody has heard for so long nothing is read.
FAILING = failing(
    rows=f"SELECT * FROM ({_NEWEST}) AS newest WHERE at > now() - {LOOK_BACK}",  # noqa: S608 - constants
    condition=f"m.errors_in_a_row > 0 AND m.last_received_at > now() - {LOOK_BACK}",
)
