-- Names the three transactional outboxes alike: outbox_points, outbox_handlers, outbox_counts.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 2) AS wanted \gset
\if :wanted

-- In the order in which a batch locks them: no deadlock with servers that are still writing.
LOCK TABLE outbox, uncounted, unhandled;

ALTER TABLE outbox RENAME TO outbox_points;
ALTER TABLE uncounted RENAME TO outbox_counts;
ALTER TABLE unhandled RENAME TO outbox_handlers;
ALTER SEQUENCE outbox_id_seq RENAME TO outbox_points_id_seq;
ALTER SEQUENCE unhandled_id_seq RENAME TO outbox_handlers_id_seq;

-- Primary keys with their indexes and, from PostgreSQL 18 on, NOT NULL constraints.
DO $$
DECLARE
    renamed record;
BEGIN
    FOR renamed IN
        SELECT c.conrelid::regclass AS relation, c.conname AS old_name,
            t.new_name || substr(c.conname, length(t.old_name) + 1) AS new_name
        FROM (VALUES
            ('outbox', 'outbox_points'),
            ('uncounted', 'outbox_counts'),
            ('unhandled', 'outbox_handlers')
        ) AS t (old_name, new_name)
        JOIN pg_constraint AS c
            ON c.conrelid = t.new_name::regclass AND starts_with(c.conname, t.old_name || '_')
    LOOP
        EXECUTE format(
            'ALTER TABLE %s RENAME CONSTRAINT %I TO %I',
            renamed.relation, renamed.old_name, renamed.new_name);
    END LOOP;
END $$;

-- Counts up to `most` batches; false when none is left. Serialised by an advisory lock, so that one
-- caller at a time writes to the counters.
--
-- Two statements: the first takes the batches and merges their time spans by student, the second reads
-- their events once (`fresh`) and adds them to all counters. It is one statement because temporary
-- tables in its place would fill the system catalogs at one call a second.
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
            SELECT e.student_id, e.executed_at AS at, e.notebook_id, e.cell_id,
                true AS ran, e.status = 'error' AS failed, false AS helped,
                e.duration_ms AS duration,
                CASE e.status WHEN 'error' THEN COALESCE(left(e.error, 500), '') END AS error
            FROM cell_executions AS e
            WHERE e.student_id = s.student_id AND e.batch = ANY (batches)
                AND e.executed_at BETWEEN s.first_at AND s.last_at
                AND e.received_at >= since OFFSET 0
        ) AS e
        UNION ALL
        SELECT e.* FROM spans AS s CROSS JOIN LATERAL (
            SELECT e.student_id, e.event_time, e.notebook_id, e.cell_id,
                false, false, e.event_type = 'help', NULL::double precision, NULL
            FROM events AS e
            WHERE e.student_id = s.student_id AND e.batch = ANY (batches)
                AND e.event_time BETWEEN s.first_at AND s.last_at
                AND e.received_at >= since OFFSET 0
        ) AS e
        UNION ALL
        SELECT e.* FROM spans AS s CROSS JOIN LATERAL (
            SELECT e.student_id, e.accessed_at, e.notebook_id, NULL::bigint,
                false, false, false, NULL::double precision, NULL
            FROM notebook_accesses AS e
            WHERE e.student_id = s.student_id AND e.batch = ANY (batches)
                AND e.accessed_at BETWEEN s.first_at AND s.last_at
                AND e.received_at >= since OFFSET 0
        ) AS e
    ), totals AS (
        SELECT student_id, notebook_id, cell_id,
            count(*) FILTER (WHERE ran) AS executions,
            count(*) FILTER (WHERE failed) AS errors,
            min(at) FILTER (WHERE failed) AS first_error_at,
            max(at) FILTER (WHERE failed) AS last_error_at,
            min(at) FILTER (WHERE ran AND NOT failed) AS first_success_at,
            max(at) FILTER (WHERE ran AND NOT failed) AS last_success_at,
            max(at) AS last_at,
            COALESCE(sum(one_at(duration_bucket(duration))) FILTER (WHERE duration >= 0), 0)
                AS durations
        FROM fresh GROUP BY student_id, notebook_id, cell_id
    ), counted_cells AS (
        INSERT INTO cell_progress AS p
        SELECT student_id, notebook_id, cell_id, executions, errors,
            first_error_at, last_error_at, first_success_at,
            errors_before(first_success_at, errors, first_error_at, last_error_at, NULL, NULL),
            durations
        FROM totals WHERE cell_id IS NOT NULL
        ORDER BY student_id, notebook_id, cell_id  -- they are read together
        ON CONFLICT (student_id, notebook_id, cell_id) DO UPDATE SET
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
            durations = p.durations + EXCLUDED.durations
        RETURNING p.student_id, p.cell_id, p.errors_before_success
    ), counted_errors AS (
        INSERT INTO cell_errors AS e
        SELECT student_id, notebook_id, cell_id, normalised_error(error) AS normalised,
            sum(count), max(last_at)
        FROM (
            SELECT student_id, notebook_id, cell_id, error, count(*), max(at) AS last_at
            FROM fresh WHERE failed AND cell_id IS NOT NULL
            GROUP BY student_id, notebook_id, cell_id, error
        ) AS raw
        GROUP BY student_id, notebook_id, cell_id, normalised
        ON CONFLICT (student_id, notebook_id, cell_id, error) DO UPDATE SET
            count = e.count + EXCLUDED.count,
            last_at = GREATEST(e.last_at, EXCLUDED.last_at)
    ), minutes AS MATERIALIZED (
        SELECT student_id, date_bin('1 minute', at, 'epoch') AT TIME ZONE 'UTC' AS minute,
            count(*) FILTER (WHERE ran) AS executions,
            count(*) FILTER (WHERE failed) AS errors,
            count(*) FILTER (WHERE helped) AS helps
        FROM fresh WHERE ran OR helped
        GROUP BY student_id, minute
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
        SELECT student_id, step, start, sum(executions * one), sum(errors * one), sum(helps * one)
        FROM placed GROUP BY student_id, step, start
        ORDER BY step, start, student_id  -- a class's are read together
        ON CONFLICT (student_id, step, start) DO UPDATE SET
            executions = a.executions + EXCLUDED.executions,
            errors = a.errors + EXCLUDED.errors,
            helps = a.helps + EXCLUDED.helps
    ), counted_students AS (
        INSERT INTO student_progress AS p
        SELECT student_id, succeeded.at, named.at, notebook_id, reached.at, cell_id
        FROM (
            SELECT student_id, max(last_success_at) AS at FROM totals GROUP BY student_id
        ) AS succeeded LEFT JOIN (
            SELECT DISTINCT ON (student_id) student_id, last_at AS at, notebook_id
            FROM totals WHERE notebook_id IS NOT NULL
            ORDER BY student_id, last_at DESC, notebook_id DESC
        ) AS named USING (student_id) LEFT JOIN (
            SELECT DISTINCT ON (student_id) student_id, last_at AS at, cell_id
            FROM totals WHERE cell_id IS NOT NULL
            ORDER BY student_id, last_at DESC, cell_id DESC
        ) AS reached USING (student_id)
        ON CONFLICT (student_id) DO UPDATE SET
            last_success_at = GREATEST(p.last_success_at, EXCLUDED.last_success_at),
            notebook_id = CASE WHEN p.notebook_at IS NULL
                    OR (EXCLUDED.notebook_at, EXCLUDED.notebook_id) > (p.notebook_at, p.notebook_id)
                THEN EXCLUDED.notebook_id ELSE p.notebook_id END,
            notebook_at = GREATEST(p.notebook_at, EXCLUDED.notebook_at),
            cell_id = CASE WHEN p.cell_at IS NULL
                    OR (EXCLUDED.cell_at, EXCLUDED.cell_id) > (p.cell_at, p.cell_id)
                THEN EXCLUDED.cell_id ELSE p.cell_id END,
            cell_at = GREATEST(p.cell_at, EXCLUDED.cell_at)
    )
    SELECT array_agg(student_id), array_agg(cell_id) INTO unclear_students, unclear_cells
    FROM counted_cells WHERE errors_before_success IS NULL;

    -- Rare: a success arrived that is older than some of the errors.
    UPDATE cell_progress AS p SET errors_before_success = (
        SELECT count(*) FROM cell_executions AS e
        WHERE e.student_id = p.student_id AND e.cell_id = p.cell_id AND e.status = 'error'
            AND e.executed_at >= p.first_error_at AND e.executed_at < p.first_success_at
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

-- The packed counters of student_activity, one row for each minute or hour with activity: for queries
-- by hand. The server's own reads add up packed columns first and unpack the sums.
CREATE VIEW student_activity_counts AS
    SELECT student_id, step, start + make_interval(secs => step * place) AS at,
        mod(div(executions, one_at(place)), 100000000)::bigint AS executions,
        mod(div(errors, one_at(place)), 100000000)::bigint AS errors,
        mod(div(helps, one_at(place)), 100000000)::bigint AS helps
    FROM student_activity
    CROSS JOIN LATERAL generate_series(0, CASE step WHEN 60 THEN 59 ELSE 23 END) AS place
    WHERE mod(div(executions + helps, one_at(place)), 100000000) > 0;

-- Servers before schema_migrations compared hashes in applied_sql and put their own files back where
-- they differed. One that is still running gets this error instead and spools; none can be started.
DROP TABLE IF EXISTS applied_sql;

CREATE FUNCTION refuse_servers_without_migrations() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the database has been upgraded: this version of the server is too old for it'
        USING HINT = 'Start the version that upgraded it, or a later one.';
END $$;

CREATE VIEW applied_sql AS SELECT refuse_servers_without_migrations() AS file, '' AS sha256;

INSERT INTO schema_migrations (number, name) VALUES (2, 'outboxes');
\endif
COMMIT;
