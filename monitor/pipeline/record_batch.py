"""The statement that adds a batch to its students' states, to the ledger and to the outboxes.

It returns a row for each student and class, with the state after the batch.
"""

from monitor.pipeline.rosters import VERSION

# The changes are passed as JSON: an array per column takes four times as long to encode.
RECORD_BATCH = f"""
    WITH deltas AS MATERIALIZED (
        SELECT * FROM json_to_recordset($1) AS delta (
            student_id bigint, class_id bigint, first_at timestamptz, last_at timestamptz,
            received_at timestamptz, executions bigint, errors bigint,
            last_success_at timestamptz, error_times timestamptz[],
            alias_at timestamptz, alias_id bigint, cell_at timestamptz, cell_id bigint,
            cell_index integer,
            started_at timestamptz, started_alias bigint, started_cell bigint,
            help_at timestamptz, help_stop_at timestamptz,
            name_at timestamptz, name text, name_by text,
            email_at timestamptz, email text, email_by text,
            team_at timestamptz, team text, team_by text,
            verified_by text, verified_until timestamptz,
            least_offset bigint, greatest_offset bigint
        )
    ),
    locked AS MATERIALIZED (  -- same lock order everywhere, to avoid deadlocks
        SELECT s.student_id, s.class_id FROM student_states AS s
        WHERE (s.student_id, s.class_id) IN (SELECT d.student_id, d.class_id FROM deltas AS d)
        ORDER BY s.student_id, s.class_id FOR NO KEY UPDATE
    ),
    batch AS (
        SELECT array_agg(student_id) AS student_ids,
            array_agg(first_at) AS first_times, array_agg(last_at) AS last_times
        FROM (
            SELECT student_id, min(first_at) AS first_at, max(last_at) AS last_at
            FROM deltas GROUP BY student_id
        ) AS spans HAVING count(*) > 0
    ),
    points AS (
        INSERT INTO outbox_points (student_ids, first_times, last_times)
        SELECT * FROM batch WHERE $2
        RETURNING id
    ),
    counts AS (
        INSERT INTO ledger AS l (replica, stored, duplicates) VALUES ($3, $4, $5)
        ON CONFLICT (replica) DO UPDATE SET
            stored = l.stored + EXCLUDED.stored, duplicates = l.duplicates + EXCLUDED.duplicates
    ),
    to_count AS (
        INSERT INTO outbox_counts (received_at, student_ids, first_times, last_times)
        SELECT $6, batch.* FROM batch
    )
    UPDATE student_states AS s SET
        executions = s.executions + COALESCE(d.executions, 0),
        errors = s.errors + COALESCE(d.errors, 0),
        last_received_at = GREATEST(s.last_received_at, d.received_at),
        last_success_at = GREATEST(s.last_success_at, d.last_success_at),
        error_times = CASE
            WHEN d.error_times IS NULL AND (d.last_success_at IS NULL OR s.error_times = '{{}}')
            THEN s.error_times
            ELSE errors_since(
                GREATEST(s.last_success_at, d.last_success_at), s.error_times, d.error_times)
            END,
        alias_id = CASE WHEN s.alias_at > d.alias_at THEN s.alias_id
                   ELSE COALESCE(d.alias_id, s.alias_id) END,
        alias_at = GREATEST(s.alias_at, d.alias_at),
        cell_id = CASE WHEN s.cell_at > d.cell_at THEN s.cell_id
                  ELSE COALESCE(d.cell_id, s.cell_id) END,
        cell_index = CASE WHEN d.cell_id IS NULL OR s.cell_at > d.cell_at THEN s.cell_index
                     ELSE d.cell_index END,
        cell_at = GREATEST(s.cell_at, d.cell_at),
        started_at = GREATEST(s.started_at, d.started_at),
        started_alias = CASE WHEN d.started_at IS NULL OR s.started_at > d.started_at
                        THEN s.started_alias ELSE d.started_alias END,
        started_cell = CASE WHEN d.started_at IS NULL OR s.started_at > d.started_at
                       THEN s.started_cell ELSE d.started_cell END,
        help_at = GREATEST(s.help_at, d.help_at),
        help_stop_at = GREATEST(s.help_stop_at, d.help_stop_at),
        name = CASE WHEN (d.name_at, d.name) > (s.name_at, COALESCE(s.name, ''))
               THEN d.name ELSE s.name END,
        name_by = CASE WHEN (d.name_at, d.name) > (s.name_at, COALESCE(s.name, ''))
                  THEN d.name_by ELSE s.name_by END,
        name_at = GREATEST(s.name_at, d.name_at),
        email = CASE WHEN (d.email_at, d.email) > (s.email_at, COALESCE(s.email, ''))
                THEN d.email ELSE s.email END,
        email_by = CASE WHEN (d.email_at, d.email) > (s.email_at, COALESCE(s.email, ''))
                   THEN d.email_by ELSE s.email_by END,
        email_at = GREATEST(s.email_at, d.email_at),
        team = CASE WHEN (d.team_at, d.team) > (s.team_at, COALESCE(s.team, ''))
               THEN d.team ELSE s.team END,
        team_by = CASE WHEN (d.team_at, d.team) > (s.team_at, COALESCE(s.team, ''))
                  THEN d.team_by ELSE s.team_by END,
        team_at = GREATEST(s.team_at, d.team_at),
        verified_by = COALESCE(d.verified_by, s.verified_by),
        verified_until = COALESCE(d.verified_until, s.verified_until),
        least_offset = LEAST(s.least_offset, d.least_offset),
        greatest_offset = GREATEST(s.greatest_offset, d.greatest_offset)
    FROM deltas AS d
    JOIN locked USING (student_id, class_id)
    WHERE s.student_id = d.student_id AND s.class_id = d.class_id
    RETURNING s.student_id, s.class_id, s.executions, s.errors, s.name, s.team,
        (SELECT id FROM points) AS outbox_id, {VERSION}
"""  # noqa: S608 - constants
