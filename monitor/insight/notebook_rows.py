"""The counters of a notebook's cells by student: SQL for the views of a notebook."""

# One row for each person and cell: `$1` are their ids, `$2` the notebook's aliases. A cell of
# several aliases is one cell; where errors under one alias are mixed with the first success under
# another, those before that alias's own success are taken.
CELLS_BY_STUDENT = """
    SELECT student_id, cell_id,
        sum(executions)::bigint AS executions, sum(errors)::bigint AS errors,
        min(first_success_at) AS first_success_at,
        sum(COALESCE(errors_before(success_at, errors, first_error_at, last_error_at,
            first_success_at, errors_before_success), errors_before_success
        ))::bigint AS errors_before_success,
        sum(durations) AS durations
    FROM (
        SELECT p.*, c.cell_id,
            min(p.first_success_at) OVER (PARTITION BY p.student_id, c.cell_id) AS success_at
        FROM unnest($1::bigint[]) AS person (id)
        CROSS JOIN LATERAL (
            SELECT student_id, cell_id AS id, executions, errors, first_error_at, last_error_at,
                first_success_at, errors_before_success, durations
            FROM cell_progress
            WHERE student_id = person.id AND alias_id = ANY ($2::bigint[]) OFFSET 0
        ) AS p JOIN cells AS c ON c.id = p.id
    ) AS rows
    GROUP BY student_id, cell_id
"""

# The cells of the aliases `$2`, no matter who ran them.
CELLS = """
    SELECT cell_id,
        (array_agg(type ORDER BY type_at DESC) FILTER (WHERE type IS NOT NULL))[1] AS type,
        (array_agg(position ORDER BY position_at DESC) FILTER (WHERE position >= 0))[1] AS position
    FROM cells WHERE alias_id = ANY ($2::bigint[]) GROUP BY cell_id
"""
