-- Cells in place: where a cell was is kept for each student, so that reading can put cells whose ids are
-- random beside those of the others. And a student's new names are limited.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 9) AS wanted \gset
\if :wanted

-- By itself, because readers wait from here to the end of the transaction. Nothing reads or writes these
-- columns yet: should the rest fail, they do no harm, and are found the next time.
ALTER TABLE cell_progress
    ADD COLUMN IF NOT EXISTS name_hash bigint,
    ADD COLUMN IF NOT EXISTS position integer;
\endif
COMMIT;

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 9) AS wanted \gset
\if :wanted

-- Keeps cell_progress as it is. Readers don't wait for this, which takes longest.
SELECT pg_advisory_xact_lock(hashtext('cell-monitor progress'));
UPDATE cell_progress AS p SET name_hash = hashtextextended(c.cell_id, 0),
    position = CASE WHEN c.position >= 0 THEN c.position END
FROM cells AS c WHERE c.id = p.cell_id;

-- The tables in the order in which a batch locks them: no deadlock with servers that are still writing.
-- Cancel autovacuum of these tables, which takes a second, and keep it out.
LOCK TABLE cell_executions, events, notebook_accesses, student_states, cell_progress, cells
    IN SHARE UPDATE EXCLUSIVE MODE;
-- A reader holds the lock of one of these tables while it waits for another's. Release all of them when one
-- isn't granted within 0.2 s, before PostgreSQL detects a deadlock and ends one of the two transactions.
DO $$
BEGIN
    FOR attempt IN 1..50 LOOP
        BEGIN
            SET LOCAL lock_timeout = '200ms';
            LOCK TABLE cell_executions, events, notebook_accesses, student_states, cell_progress,
                cells;
            SET LOCAL lock_timeout = '5s';
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.1);
        END;
    END LOOP;
    RAISE lock_not_available USING MESSAGE = 'canceling statement due to lock timeout';
END $$;

-- The cell's index in the student's notebook, as the event says it; -1 is none.
ALTER TABLE cell_executions ADD COLUMN cell_index integer;
ALTER TABLE events ADD COLUMN cell_index integer;
ALTER TABLE notebook_accesses ADD COLUMN cell_index integer;
ALTER TABLE student_states ADD COLUMN cell_index integer;  -- of the cell, beside cell_id

-- Of the student's events in the cell, by the times put right: the latest index that is one, the latest
-- type and the latest code. Null until the student is counted anew, except the index: where no event of
-- the student says one, it is that of `cells`. `name_hash` stands for the cell's id: a cell of one alias
-- has the same as that of another with the same id.
ALTER TABLE cell_progress
    ADD COLUMN position_at timestamptz,
    ADD COLUMN type        text,
    ADD COLUMN type_at     timestamptz,
    ADD COLUMN code_hash   integer,
    ADD COLUMN code_at     timestamptz,
    ADD COLUMN first_at    timestamptz,
    ADD COLUMN last_at     timestamptz;
ALTER TABLE cell_progress ALTER COLUMN name_hash SET NOT NULL;
INSERT INTO outbox_recounts SELECT id FROM students WHERE has_events ON CONFLICT DO NOTHING;
-- Reads start from students. With this index beside the primary key, wrong statistics would have the
-- planner read all students of a notebook for each of them.
DROP INDEX cell_progress_alias;

-- Rows of `cells` give ids and never change: type and position are what the first event said. They stand
-- in for what was stored before there was an index in home rows.
ALTER TABLE cells DROP COLUMN type_at, DROP COLUMN position_at;

-- Code without white space, as a number: equal for the same code. Null without any.
CREATE FUNCTION code_hash(code text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtext(NULLIF(translate(left(code, 10000), E' \t\r\n', ''), ''))
$$;

-- A cell's id as a number, and the index that the first event said.
CREATE FUNCTION name_of_cell(cell bigint) RETURNS TABLE (name_hash bigint, said_position integer)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1 AS $$
    SELECT hashtextextended(cell_id, 0), CASE WHEN position >= 0 THEN position END
    FROM cells WHERE id = cell OFFSET 0
$$;

-- How many cells and paths of notebooks a student was the first to name in a class (0: in none).
CREATE TABLE new_names (
    student_id bigint NOT NULL REFERENCES students ON DELETE CASCADE,
    class_id   bigint NOT NULL,
    cells      bigint NOT NULL DEFAULT 0,
    paths      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (student_id, class_id)
) WITH (fillfactor = 70);

-- Ids of cells by alias and name; those that are missing are added, up to a limit for the student who
-- names them in a class. Cells beyond it have no row. Callers run it in a transaction of its own.
CREATE FUNCTION name_cells(
    students bigint[], class_ids bigint[], aliases bigint[], names text[], types text[],
    positions integer[]
) RETURNS TABLE (id bigint, alias_id bigint, cell_id text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    max_cells CONSTANT bigint := 20000;
BEGIN
    WITH said AS MATERIALIZED (
        SELECT * FROM unnest(students, class_ids, aliases, names, types, positions)
            AS s (student_id, class_id, alias_id, cell_id, type, position)
    ), missing AS MATERIALIZED (
        SELECT s.*, COALESCE((
            SELECT cells FROM new_names AS n
            WHERE n.student_id = s.student_id AND n.class_id = s.class_id
        ), 0) + row_number() OVER (PARTITION BY student_id, class_id) AS number
        FROM said AS s
        WHERE (SELECT id FROM cells AS c
               WHERE c.alias_id = s.alias_id AND c.cell_id = s.cell_id) IS NULL
    ), added AS (
        INSERT INTO cells (alias_id, cell_id, type, position)
        SELECT alias_id, cell_id, type, position FROM missing WHERE number <= max_cells
        ORDER BY alias_id, cell_id  -- one order for all writers: no deadlock
        ON CONFLICT DO NOTHING
        RETURNING alias_id, cell_id
    )
    INSERT INTO new_names AS n (student_id, class_id, cells)
    SELECT student_id, class_id, count(*) FROM missing JOIN added USING (alias_id, cell_id)
    GROUP BY student_id, class_id ORDER BY student_id, class_id
    ON CONFLICT (student_id, class_id) DO UPDATE SET cells = n.cells + EXCLUDED.cells;

    RETURN QUERY SELECT c.id, c.alias_id, c.cell_id
    FROM unnest(aliases, names) AS s (alias, name) CROSS JOIN LATERAL (
        SELECT * FROM cells AS c WHERE c.alias_id = s.alias AND c.cell_id = s.name OFFSET 0
    ) AS c;
END $$;

-- The same for aliases, by class and path as said; adds their notebooks, too.
CREATE FUNCTION name_notebooks(students bigint[], class_ids bigint[], paths text[])
RETURNS TABLE (id bigint, class_id bigint, path text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    max_paths CONSTANT bigint := 1000;
BEGIN
    WITH said AS MATERIALIZED (
        SELECT * FROM unnest(students, class_ids, paths) AS s (student_id, class_id, path)
    ), missing AS MATERIALIZED (
        SELECT s.*, path_in_order(path) AS in_order, COALESCE((
            SELECT paths FROM new_names AS n
            WHERE n.student_id = s.student_id AND n.class_id = s.class_id
        ), 0) + row_number() OVER (PARTITION BY student_id, class_id) AS number
        FROM said AS s
        WHERE (SELECT id FROM notebook_aliases AS a
               WHERE a.class_id = s.class_id AND a.path = s.path) IS NULL
    ), notebook AS (
        INSERT INTO notebooks (class_id, path, name, has_events)
        SELECT DISTINCT class_id, in_order, file_name(in_order), true
        FROM missing WHERE number <= max_paths
        ORDER BY class_id, in_order
        ON CONFLICT (class_id, path) DO UPDATE SET has_events = true
        RETURNING id, class_id, path
    ), added AS (
        INSERT INTO notebook_aliases (class_id, path, notebook_id)
        SELECT m.class_id, m.path, n.id FROM missing AS m
        JOIN notebook AS n ON n.class_id = m.class_id AND n.path = m.in_order
        WHERE m.number <= max_paths
        ORDER BY m.class_id, m.path
        ON CONFLICT DO NOTHING
        RETURNING class_id, path
    )
    INSERT INTO new_names AS n (student_id, class_id, paths)
    SELECT student_id, class_id, count(*) FROM missing JOIN added USING (class_id, path)
    GROUP BY student_id, class_id ORDER BY student_id, class_id
    ON CONFLICT (student_id, class_id) DO UPDATE SET paths = n.paths + EXCLUDED.paths;

    RETURN QUERY SELECT a.id, a.class_id, a.path
    FROM unnest(class_ids, paths) AS s (class, said) CROSS JOIN LATERAL (
        SELECT * FROM notebook_aliases AS a
        WHERE a.class_id = s.class AND a.path = s.said OFFSET 0
    ) AS a;
END $$;

-- The tables of home rows, as before, with the index.
CREATE OR REPLACE VIEW home_tables AS SELECT * FROM (VALUES
    (1, 'cell_executions', 'executed_at', $$,
        'cellIndex', c.cell_index,
        'executionCount', c.execution_count, 'hasError', NULLIF(c.status = 'error', false),
        'executionDurationMs', c.duration_ms, 'code', c.code, 'result', c.output,
        'errorMessage', c.error$$),
    (2, 'events', 'event_time', $$, 'cellIndex', c.cell_index$$),
    (3, 'notebook_accesses', 'accessed_at', $$, 'cellIndex', c.cell_index$$)
) AS home (number, name, time_column, run_fields);

-- The aliases of a class for the paths of these aliases, and in them cells for these cells.
CREATE OR REPLACE FUNCTION copy_aliases(to_class bigint, aliases bigint[], cell_ids bigint[])
RETURNS void LANGUAGE sql AS $$
    INSERT INTO notebooks (class_id, path, name, has_events)
    SELECT DISTINCT to_class, path_in_order(path), file_name(path_in_order(path)), true
    FROM notebook_aliases WHERE id = ANY (aliases) ORDER BY 2
    ON CONFLICT (class_id, path) DO UPDATE SET has_events = true;

    INSERT INTO notebook_aliases (class_id, path, notebook_id)
    SELECT n.class_id, a.path, n.id
    FROM notebook_aliases AS a
    JOIN notebooks AS n ON n.class_id = to_class AND n.path = path_in_order(a.path)
    WHERE a.id = ANY (aliases) ORDER BY a.path
    ON CONFLICT (class_id, path) DO NOTHING;

    INSERT INTO cells (alias_id, cell_id, type, position)
    SELECT target.id, c.cell_id, c.type, c.position
    FROM cells AS c
    JOIN notebook_aliases AS a ON a.id = c.alias_id
    JOIN notebook_aliases AS target ON target.class_id = to_class AND target.path = a.path
    WHERE c.id = ANY (cell_ids) ORDER BY target.id, c.cell_id
    ON CONFLICT (alias_id, cell_id) DO NOTHING;
$$;

-- Counts up to `most` batches; false when none is left. See 0003; new is what places cells.
CREATE OR REPLACE FUNCTION count_batches(most integer) RETURNS boolean LANGUAGE plpgsql
SET jit = off AS $$
DECLARE
    batches          xid8[];
    students         bigint[];
    first_times      timestamptz[];
    last_times       timestamptz[];
    since            timestamptz;
    unclear_students bigint[];
    unclear_cells    bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('cell-monitor progress'));
    WITH taken AS (
        DELETE FROM outbox_counts AS u
        USING (SELECT batch FROM outbox_counts ORDER BY batch LIMIT most) AS next
        WHERE u.batch = next.batch RETURNING u.*
    ), spans AS (
        SELECT student_id, min(first_at) AS first_at, max(last_at) AS last_at
        FROM taken AS t, unnest(t.student_ids, t.first_times, t.last_times)
            AS part (student_id, first_at, last_at)
        GROUP BY student_id
    )
    SELECT (SELECT array_agg(batch) FROM taken), (SELECT min(received_at) FROM taken),
        array_agg(student_id), array_agg(first_at), array_agg(last_at)
    INTO batches, since, students, first_times, last_times FROM spans;
    IF batches IS NULL THEN
        RETURN false;
    END IF;

    WITH spans AS (
        SELECT * FROM unnest(students, first_times, last_times) AS s (student_id, first_at, last_at)
    ), fresh AS MATERIALIZED (
        -- OFFSET 0 keeps each branch a look-up by the primary key, student by student: with wrong
        -- estimates the planner would scan whole partitions.
        SELECT e.* FROM spans AS s CROSS JOIN LATERAL (
            SELECT e.student_id, e.class_id,
                put_right(e.received_at, e.executed_at, e.clock_offset) AS at, e.alias_id, e.cell_id,
                e.cell_index, e.cell_type, code_hash(e.code) AS code_hash,
                e.status <> 'rendered' AS ran, e.status = 'error' AS failed, false AS helped,
                e.duration_ms AS duration,
                CASE e.status WHEN 'error' THEN COALESCE(left(e.error, 500), '') END AS error
            FROM cell_executions AS e
            WHERE e.student_id = s.student_id AND e.batch = ANY (batches)
                AND e.executed_at BETWEEN s.first_at AND s.last_at
                AND e.received_at >= since AND e.excluded IS NULL OFFSET 0
        ) AS e
        UNION ALL
        SELECT e.* FROM spans AS s CROSS JOIN LATERAL (
            SELECT e.student_id, e.class_id,
                put_right(e.received_at, e.event_time, e.clock_offset), e.alias_id, e.cell_id,
                e.cell_index, e.cell_type, NULL::integer,
                false, false, e.event_type = 'help', NULL::double precision, NULL
            FROM events AS e
            WHERE e.student_id = s.student_id AND e.batch = ANY (batches)
                AND e.event_time BETWEEN s.first_at AND s.last_at
                AND e.received_at >= since AND e.excluded IS NULL OFFSET 0
        ) AS e
    ), of_cells AS (
        SELECT *, max(at) FILTER (WHERE cell_index >= 0) OVER cell AS position_at,
            max(at) FILTER (WHERE cell_type IS NOT NULL) OVER cell AS type_at,
            max(at) FILTER (WHERE code_hash IS NOT NULL) OVER cell AS code_at
        FROM fresh WHERE cell_id IS NOT NULL
        WINDOW cell AS (PARTITION BY student_id, alias_id, cell_id)
    ), totals AS (
        SELECT student_id, alias_id, cell_id,
            count(*) FILTER (WHERE ran) AS executions,
            count(*) FILTER (WHERE failed) AS errors,
            min(at) FILTER (WHERE failed) AS first_error_at,
            max(at) FILTER (WHERE failed) AS last_error_at,
            min(at) FILTER (WHERE ran AND NOT failed) AS first_success_at,
            COALESCE(sum(one_at(duration_bucket(duration))) FILTER (WHERE ran AND duration >= 0), 0)
                AS durations,
            max(position_at) AS position_at,
            max(cell_index) FILTER (WHERE at = position_at) AS position,
            max(type_at) AS type_at,
            max(cell_type) FILTER (WHERE at = type_at) AS type,
            max(code_at) AS code_at,
            max(code_hash) FILTER (WHERE at = code_at) AS code_hash,
            min(at) AS first_at, max(at) AS last_at
        FROM of_cells GROUP BY student_id, alias_id, cell_id
    ), counted_cells AS (
        INSERT INTO cell_progress AS p (
            student_id, alias_id, cell_id, executions, errors,
            first_error_at, last_error_at, first_success_at, errors_before_success, durations,
            name_hash, position_at, position, type_at, type, code_at, code_hash, first_at, last_at)
        SELECT student_id, alias_id, cell_id, executions, errors,
            first_error_at, last_error_at, first_success_at,
            errors_before(first_success_at, errors, first_error_at, last_error_at, NULL, NULL),
            durations, name_hash, position_at, COALESCE(position, said_position), type_at, type,
            code_at, code_hash, first_at, last_at
        FROM totals CROSS JOIN LATERAL name_of_cell(cell_id)
        ORDER BY student_id, alias_id, cell_id  -- they are read together
        ON CONFLICT (student_id, alias_id, cell_id) DO UPDATE SET
            executions = p.executions + EXCLUDED.executions,
            errors = p.errors + EXCLUDED.errors,
            first_error_at = LEAST(p.first_error_at, EXCLUDED.first_error_at),
            last_error_at = GREATEST(p.last_error_at, EXCLUDED.last_error_at),
            first_success_at = LEAST(p.first_success_at, EXCLUDED.first_success_at),
            errors_before_success = errors_before(
                LEAST(p.first_success_at, EXCLUDED.first_success_at), p.errors,
                p.first_error_at, p.last_error_at, p.first_success_at, p.errors_before_success
            ) + errors_before(
                LEAST(p.first_success_at, EXCLUDED.first_success_at), EXCLUDED.errors,
                EXCLUDED.first_error_at, EXCLUDED.last_error_at,
                EXCLUDED.first_success_at, EXCLUDED.errors_before_success
            ),
            durations = p.durations + EXCLUDED.durations,
            position = CASE WHEN p.position_at IS NULL
                    OR (EXCLUDED.position_at, EXCLUDED.position) > (p.position_at, p.position)
                THEN EXCLUDED.position ELSE p.position END,
            position_at = GREATEST(p.position_at, EXCLUDED.position_at),
            type = CASE WHEN p.type_at IS NULL
                    OR (EXCLUDED.type_at, EXCLUDED.type) > (p.type_at, p.type)
                THEN EXCLUDED.type ELSE p.type END,
            type_at = GREATEST(p.type_at, EXCLUDED.type_at),
            code_hash = CASE WHEN p.code_at IS NULL
                    OR (EXCLUDED.code_at, EXCLUDED.code_hash) > (p.code_at, p.code_hash)
                THEN EXCLUDED.code_hash ELSE p.code_hash END,
            code_at = GREATEST(p.code_at, EXCLUDED.code_at),
            first_at = LEAST(p.first_at, EXCLUDED.first_at),
            last_at = GREATEST(p.last_at, EXCLUDED.last_at)
        RETURNING p.student_id, p.cell_id, p.errors_before_success
    ), counted_errors AS (
        INSERT INTO cell_errors AS e
        SELECT student_id, alias_id, cell_id, normalised_error(error) AS normalised,
            sum(count), max(last_at)
        FROM (
            SELECT student_id, alias_id, cell_id, error, count(*), max(at) AS last_at
            FROM fresh WHERE failed AND cell_id IS NOT NULL
            GROUP BY student_id, alias_id, cell_id, error
        ) AS raw
        GROUP BY student_id, alias_id, cell_id, normalised
        ON CONFLICT (student_id, alias_id, cell_id, error) DO UPDATE SET
            count = e.count + EXCLUDED.count,
            last_at = GREATEST(e.last_at, EXCLUDED.last_at)
    ), minutes AS MATERIALIZED (
        SELECT student_id, class_id, date_bin('1 minute', at, 'epoch') AT TIME ZONE 'UTC' AS minute,
            count(*) FILTER (WHERE ran) AS executions,
            count(*) FILTER (WHERE failed) AS errors,
            count(*) FILTER (WHERE helped) AS helps
        FROM fresh WHERE ran OR helped
        GROUP BY student_id, class_id, minute
    ), placed AS (
        SELECT *, 60 AS step, date_trunc('hour', minute) AT TIME ZONE 'UTC' AS start,
            one_at(extract(minute FROM minute)::integer) AS one
        FROM minutes
        UNION ALL
        SELECT *, 3600, date_trunc('day', minute) AT TIME ZONE 'UTC',
            one_at(extract(hour FROM minute)::integer)
        FROM minutes
    ), counted_activity AS (
        INSERT INTO student_activity AS a
            (student_id, class_id, step, start, executions, errors, helps)
        SELECT student_id, class_id, step, start,
            sum(executions * one), sum(errors * one), sum(helps * one)
        FROM placed GROUP BY student_id, class_id, step, start
        ORDER BY step, start, student_id  -- a class's are read together
        ON CONFLICT (student_id, class_id, step, start) DO UPDATE SET
            executions = a.executions + EXCLUDED.executions,
            errors = a.errors + EXCLUDED.errors,
            helps = a.helps + EXCLUDED.helps
    )
    SELECT array_agg(student_id), array_agg(cell_id) INTO unclear_students, unclear_cells
    FROM counted_cells WHERE errors_before_success IS NULL;

    -- Rare: a success arrived that is older than some of the errors.
    UPDATE cell_progress AS p SET errors_before_success = (
        SELECT count(*) FROM cell_executions AS e
        WHERE e.student_id = p.student_id AND e.cell_id = p.cell_id AND e.status = 'error'
            AND e.excluded IS NULL
            AND put_right(e.received_at, e.executed_at, e.clock_offset) >= p.first_error_at
            AND put_right(e.received_at, e.executed_at, e.clock_offset) < p.first_success_at
            AND NOT EXISTS (
                SELECT FROM outbox_counts AS u
                WHERE u.batch = e.batch AND e.received_at >= u.received_at
            )
    )
    FROM unnest(unclear_students, unclear_cells) AS unclear (student_id, cell_id)
    WHERE p.student_id = unclear.student_id AND p.cell_id = unclear.cell_id
        AND p.errors_before_success IS NULL;
    RETURN cardinality(batches) = most;
END $$;

-- Makes the states and the counters of these students anew from their home rows. See 0008.
CREATE OR REPLACE FUNCTION recount_students(students bigint[]) RETURNS void LANGUAGE plpgsql
SET jit = off SET work_mem = '64MB' AS $$
DECLARE
    state_students bigint[];
    state_classes  bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('cell-monitor progress'));

    SELECT array_agg(student_id ORDER BY student_id, class_id),
        array_agg(class_id ORDER BY student_id, class_id)
    INTO state_students, state_classes
    FROM (
        SELECT student_id, class_id FROM student_states WHERE student_id = ANY (students)
        UNION
        SELECT s.student_id, e.class_id
        FROM unnest(students) AS s (student_id) CROSS JOIN LATERAL (
            SELECT class_id FROM cell_executions AS e
            WHERE e.student_id = s.student_id AND e.excluded IS NULL
            UNION
            SELECT class_id FROM events AS e
            WHERE e.student_id = s.student_id AND e.excluded IS NULL
            UNION
            SELECT class_id FROM notebook_accesses AS e
            WHERE e.student_id = s.student_id AND e.excluded IS NULL
        ) AS e
    ) AS states;

    -- Locks those that exist, too. One that a batch adds after this is right and left alone.
    INSERT INTO student_states (student_id, class_id)
    SELECT * FROM unnest(state_students, state_classes)
    ON CONFLICT (student_id, class_id) DO UPDATE SET executions = 0 WHERE false;

    DELETE FROM cell_progress WHERE student_id = ANY (students);
    DELETE FROM cell_errors WHERE student_id = ANY (students);
    DELETE FROM student_activity WHERE student_id = ANY (students);

    WITH home AS MATERIALIZED (
        SELECT e.*, NOT EXISTS (
            SELECT FROM outbox_counts AS u
            WHERE u.batch = e.batch AND e.received_at >= u.received_at
        ) AS counted
        FROM unnest(students) AS s (student_id) CROSS JOIN LATERAL (
            SELECT e.student_id, e.class_id, e.received_at, e.clock_offset, e.batch,
                e.executed_at AS claimed_at,
                put_right(e.received_at, e.executed_at, e.clock_offset) AS at,
                e.alias_id, e.cell_id, e.cell_index, e.cell_type,
                code_hash(e.code) AS code_hash,
                true AS in_counters, e.status <> 'rendered' AS ran, e.status = 'error' AS failed,
                false AS helped, false AS stopped, e.duration_ms AS duration,
                CASE e.status WHEN 'error' THEN COALESCE(left(e.error, 500), '') END AS error
            FROM cell_executions AS e
            WHERE e.student_id = s.student_id AND e.excluded IS NULL
            UNION ALL
            SELECT e.student_id, e.class_id, e.received_at, e.clock_offset, e.batch,
                e.event_time, put_right(e.received_at, e.event_time, e.clock_offset),
                e.alias_id, e.cell_id, e.cell_index, e.cell_type, NULL::integer,
                true, false, false, e.event_type = 'help', e.event_type = 'help_stop', NULL, NULL
            FROM events AS e
            WHERE e.student_id = s.student_id AND e.excluded IS NULL
            UNION ALL
            SELECT e.student_id, e.class_id, e.received_at, e.clock_offset, e.batch,
                e.accessed_at, put_right(e.received_at, e.accessed_at, e.clock_offset),
                e.alias_id, e.cell_id, e.cell_index, e.cell_type, NULL::integer,
                false, false, false, false, false, NULL, NULL
            FROM notebook_accesses AS e
            WHERE e.student_id = s.student_id AND e.excluded IS NULL
        ) AS e
    ), states AS MATERIALIZED (
        SELECT student_id, class_id,
            count(*) FILTER (WHERE ran) AS executions,
            count(*) FILTER (WHERE failed) AS errors,
            max(received_at) AS last_received_at,
            max(at) FILTER (WHERE ran AND NOT failed) AS last_success_at,
            array_agg(at) FILTER (WHERE failed) AS error_times,
            max(at) FILTER (WHERE alias_id IS NOT NULL) AS alias_at,
            max(at) FILTER (WHERE cell_id IS NOT NULL) AS cell_at,
            max(at) FILTER (WHERE helped) AS help_at,
            max(at) FILTER (WHERE stopped) AS help_stop_at,
            min(clock_offset) AS least_offset,
            max(clock_offset) AS greatest_offset
        FROM home GROUP BY student_id, class_id
    ), places AS (
        SELECT student_id, class_id,
            -- Events that were put right to the same receipt have only their claimed order.
            (array_agg(h.alias_id ORDER BY h.claimed_at DESC, h.alias_id DESC)
                FILTER (WHERE h.at = s.alias_at AND h.alias_id IS NOT NULL))[1] AS alias_id,
            (array_agg(h.cell_id ORDER BY h.claimed_at DESC, h.cell_id DESC)
                FILTER (WHERE h.at = s.cell_at AND h.cell_id IS NOT NULL))[1] AS cell_id,
            (array_agg(h.cell_index ORDER BY h.claimed_at DESC, h.cell_id DESC)
                FILTER (WHERE h.at = s.cell_at AND h.cell_id IS NOT NULL))[1] AS cell_index
        FROM states AS s JOIN home AS h USING (student_id, class_id)
        WHERE h.at IN (s.alias_at, s.cell_at)
        GROUP BY student_id, class_id
    ), counted_states AS (
        UPDATE student_states AS s SET
            executions = COALESCE(n.executions, 0),
            errors = COALESCE(n.errors, 0),
            last_received_at = n.last_received_at,
            last_success_at = n.last_success_at,
            error_times = errors_since(n.last_success_at, n.error_times, '{}'),
            alias_at = n.alias_at,
            alias_id = n.alias_id,
            cell_at = n.cell_at,
            cell_id = n.cell_id,
            cell_index = n.cell_index,
            help_at = n.help_at,
            help_stop_at = n.help_stop_at,
            -- Rows that don't count have offsets, too.
            least_offset = LEAST(s.least_offset, n.least_offset),
            greatest_offset = GREATEST(s.greatest_offset, n.greatest_offset)
        FROM unnest(state_students, state_classes) AS locked (student_id, class_id)
        LEFT JOIN (states LEFT JOIN places USING (student_id, class_id)) AS n
            USING (student_id, class_id)
        WHERE s.student_id = locked.student_id AND s.class_id = locked.class_id
    ), counted_rows AS MATERIALIZED (
        SELECT *, min(at) FILTER (WHERE ran AND NOT failed) OVER cell AS first_success_at,
            max(at) FILTER (WHERE cell_index >= 0) OVER cell AS position_at,
            max(at) FILTER (WHERE cell_type IS NOT NULL) OVER cell AS type_at,
            max(at) FILTER (WHERE code_hash IS NOT NULL) OVER cell AS code_at
        FROM home WHERE counted AND in_counters
        WINDOW cell AS (PARTITION BY student_id, alias_id, cell_id)
    ), cell_totals AS (
        SELECT student_id, alias_id, cell_id,
            count(*) FILTER (WHERE ran) AS executions,
            count(*) FILTER (WHERE failed) AS errors,
            min(at) FILTER (WHERE failed) AS first_error_at,
            max(at) FILTER (WHERE failed) AS last_error_at,
            min(first_success_at) AS first_success_at,
            count(*) FILTER (WHERE failed AND (first_success_at IS NULL OR at < first_success_at))
                AS errors_before_success,
            max(position_at) AS position_at,
            max(cell_index) FILTER (WHERE at = position_at) AS position,
            max(type_at) AS type_at,
            max(cell_type) FILTER (WHERE at = type_at) AS type,
            max(code_at) AS code_at,
            max(code_hash) FILTER (WHERE at = code_at) AS code_hash,
            min(at) AS first_at, max(at) AS last_at
        FROM counted_rows WHERE cell_id IS NOT NULL
        GROUP BY student_id, alias_id, cell_id
    ), cell_durations AS (
        SELECT student_id, alias_id, cell_id, sum(count * one_at(bucket)) AS durations
        FROM (
            SELECT student_id, alias_id, cell_id, duration_bucket(duration) AS bucket, count(*)
            FROM counted_rows WHERE cell_id IS NOT NULL AND ran AND duration >= 0
            GROUP BY student_id, alias_id, cell_id, bucket
        ) AS buckets
        GROUP BY student_id, alias_id, cell_id
    ), counted_cells AS (
        INSERT INTO cell_progress (
            student_id, alias_id, cell_id, executions, errors, first_error_at, last_error_at,
            first_success_at, errors_before_success, durations,
            name_hash, position_at, position, type_at, type, code_at, code_hash, first_at, last_at)
        SELECT student_id, alias_id, cell_id, executions, errors, first_error_at, last_error_at,
            first_success_at, errors_before_success, COALESCE(durations, 0),
            name_hash, position_at, COALESCE(position, said_position), type_at, type,
            code_at, code_hash, first_at, last_at
        FROM cell_totals CROSS JOIN LATERAL name_of_cell(cell_id)
        LEFT JOIN cell_durations USING (student_id, alias_id, cell_id)
        ORDER BY student_id, alias_id, cell_id
    ), counted_errors AS (
        INSERT INTO cell_errors
        SELECT student_id, alias_id, cell_id, normalised_error(error) AS normalised,
            sum(count), max(last_at)
        FROM (
            SELECT student_id, alias_id, cell_id, error, count(*), max(at) AS last_at
            FROM counted_rows WHERE failed AND cell_id IS NOT NULL
            GROUP BY student_id, alias_id, cell_id, error
        ) AS raw
        GROUP BY student_id, alias_id, cell_id, normalised
    ), minutes AS MATERIALIZED (
        SELECT student_id, class_id, date_bin('1 minute', at, 'epoch') AT TIME ZONE 'UTC' AS minute,
            count(*) FILTER (WHERE ran) AS executions,
            count(*) FILTER (WHERE failed) AS errors,
            count(*) FILTER (WHERE helped) AS helps
        FROM counted_rows WHERE ran OR helped
        GROUP BY student_id, class_id, minute
    ), placed AS (
        SELECT *, 60 AS step, date_trunc('hour', minute) AT TIME ZONE 'UTC' AS start,
            one_at(extract(minute FROM minute)::integer) AS one
        FROM minutes
        UNION ALL
        SELECT *, 3600, date_trunc('day', minute) AT TIME ZONE 'UTC',
            one_at(extract(hour FROM minute)::integer)
        FROM minutes
    )
    INSERT INTO student_activity (student_id, class_id, step, start, executions, errors, helps)
    SELECT student_id, class_id, step, start,
        sum(executions * one), sum(errors * one), sum(helps * one)
    FROM placed GROUP BY student_id, class_id, step, start
    ORDER BY step, start, student_id;
END $$;

INSERT INTO schema_migrations (number, name) VALUES (9, 'cells_in_place');
\endif
COMMIT;
