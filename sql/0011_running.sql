-- Which cell a student has started last, so that one who waits for it is not shown as idle.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 11) AS wanted \gset
\if :wanted

-- The latest start of a code cell, by the time put right. Whether it still runs is found at reading.
ALTER TABLE student_states
    ADD COLUMN started_at    timestamptz,
    ADD COLUMN started_alias bigint,
    ADD COLUMN started_cell  bigint;

ALTER FUNCTION recount_students(bigint[]) RENAME TO recount_totals;

-- Finds these students' latest starts anew, as batches have noted them.
CREATE FUNCTION recount_starts(students bigint[]) RETURNS void LANGUAGE sql SET jit = off AS $$
    UPDATE student_states AS s SET
        started_at = latest.at, started_alias = latest.alias_id, started_cell = latest.cell_id
    FROM student_states AS state
    LEFT JOIN (
        SELECT DISTINCT ON (student_id, class_id) student_id, class_id,
            put_right(received_at, event_time, clock_offset) AS at, alias_id, cell_id
        FROM events
        WHERE student_id = ANY (students) AND event_type = 'cell_execution_start'
            AND COALESCE(cell_type, '') NOT IN ('markdown', 'raw') AND excluded IS NULL
        ORDER BY student_id, class_id, at DESC, event_time DESC, event_id DESC
    ) AS latest USING (student_id, class_id)
    WHERE s.student_id = state.student_id AND s.class_id = state.class_id
        AND state.student_id = ANY (students)
        AND (s.started_at, s.started_alias, s.started_cell)
            IS DISTINCT FROM (latest.at, latest.alias_id, latest.cell_id)
$$;

-- Makes all that is counted of these students anew from their home rows.
CREATE FUNCTION recount_students(students bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM recount_totals(students);  -- locks the states
    PERFORM recount_starts(students);
END $$;

INSERT INTO schema_migrations (number, name) VALUES (11, 'running');
\endif
COMMIT;
