-- What teachers ask, counted as events are stored: no question has to scan the firehose.
--
-- The transaction that stores a batch leaves a mark of it, and count_batches adds what is marked to
-- the tables below, every few seconds and before a question is answered. So each event is counted
-- exactly once, and many batches at once cost less each: counting every one by itself, in its own
-- transaction, took longer than storing it. What is kept does not depend on the order in which
-- events arrive. All keys are led by the student, like those of the firehose.
--
-- A column of counts is one number: each eight of its decimal digits are one count. Such columns
-- are added up by sum(), whoever's they are, and take no room for leading and trailing zeros.

-- A batch that is not counted yet: its students, the time that each one's events span, and since when
-- they were received: where a dump has been restored, transactions are numbered anew, and an older
-- event may have the number of this batch.
CREATE TABLE IF NOT EXISTS uncounted (
    batch       xid8 PRIMARY KEY DEFAULT pg_current_xact_id(),
    received_at timestamptz NOT NULL,
    student_ids bigint[] NOT NULL,
    first_times timestamptz[] NOT NULL,
    last_times  timestamptz[] NOT NULL
);

-- A student in a cell: there is a row as soon as an event has named the cell.
CREATE TABLE IF NOT EXISTS cell_progress (
    student_id            bigint NOT NULL,
    notebook_id           bigint NOT NULL,
    cell_id               bigint NOT NULL,
    executions            bigint NOT NULL,
    errors                bigint NOT NULL,
    first_error_at        timestamptz,
    last_error_at         timestamptz,
    first_success_at      timestamptz,
    errors_before_success bigint,            -- all errors as long as there is no success
    durations             numeric NOT NULL,  -- counts by duration_bucket
    PRIMARY KEY (student_id, notebook_id, cell_id)
) WITH (fillfactor = 70);

-- A student's errors in a cell, by their normalised text.
CREATE TABLE IF NOT EXISTS cell_errors (
    student_id  bigint NOT NULL,
    notebook_id bigint NOT NULL,
    cell_id     bigint NOT NULL,
    error       text NOT NULL,
    count       bigint NOT NULL,
    last_at     timestamptz NOT NULL,
    PRIMARY KEY (student_id, notebook_id, cell_id, error)
) WITH (fillfactor = 80);

-- A student over time: an hour by its 60 minutes, and a day (UTC) by its 24 hours. Each kind lies by
-- itself: the days of half a year are few pages, among the hours they were on thousands.
CREATE TABLE IF NOT EXISTS student_activity (
    student_id bigint NOT NULL,
    step       integer NOT NULL,  -- seconds of each count: 60 or 3600
    start      timestamptz NOT NULL,
    executions numeric NOT NULL,
    errors     numeric NOT NULL,
    helps      numeric NOT NULL,
    PRIMARY KEY (student_id, step, start)
) PARTITION BY LIST (step);
CREATE TABLE IF NOT EXISTS student_activity_minutes PARTITION OF student_activity
    FOR VALUES IN (60) WITH (fillfactor = 70);
CREATE TABLE IF NOT EXISTS student_activity_hours PARTITION OF student_activity
    FOR VALUES IN (3600) WITH (fillfactor = 70);

-- Where a student is: the notebook and the cell that were named last.
CREATE TABLE IF NOT EXISTS student_progress (
    student_id      bigint PRIMARY KEY,
    last_success_at timestamptz,
    notebook_at     timestamptz,
    notebook_id     bigint,
    cell_at         timestamptz,
    cell_id         bigint
) WITH (fillfactor = 50);

-- Buckets grow by a tenth, from 1 ms: what is read from them is off by at most 5 %.
CREATE OR REPLACE FUNCTION duration_bucket(ms double precision) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT LEAST(floor(ln(GREATEST(ms, 1)) / ln(1.1::double precision)), 255)::integer
$$;

-- One in the given place of a column of counts.
CREATE OR REPLACE FUNCTION one_at(place integer) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT ('1e' || (8 * place)::text)::numeric $$;

-- How many of these errors came before a time; null when only the executions can tell.
CREATE OR REPLACE FUNCTION errors_before(
    until timestamptz, errors bigint, first_error_at timestamptz, last_error_at timestamptz,
    first_success_at timestamptz, errors_before_success bigint
) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN errors = 0 OR first_error_at >= until THEN 0
        WHEN until IS NULL OR last_error_at < until THEN errors
        WHEN until = first_success_at THEN errors_before_success
    END
$$;

-- The first line of an error, without what differs from student to student.
CREATE OR REPLACE FUNCTION normalised_error(error text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT COALESCE(NULLIF(left(regexp_replace(
        split_part(btrim(error, E' \t\r\n'), E'\n', 1),
        '(?<!\w)(''[^'']*''|"[^"]*"|`[^`]*`|0x[0-9a-fA-F]+|[-+]?\d+(\.\d+)?)(?!\w)', '…', 'g'),
        200), ''), 'Error')
$$;

-- Counts up to `most` of the marked batches; false when there were no more than that. Callers take
-- turns, so that only one at a time writes to the tables above.
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
        DELETE FROM uncounted AS u
        USING (SELECT batch FROM uncounted ORDER BY batch LIMIT most) AS next
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
    ), fresh AS MATERIALIZED (  -- OFFSET 0: by the key, student by student, whatever the estimates
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
    ), told AS (
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
    ), cells_told AS (
        INSERT INTO cell_progress AS p
        SELECT student_id, notebook_id, cell_id, executions, errors,
            first_error_at, last_error_at, first_success_at,
            errors_before(first_success_at, errors, first_error_at, last_error_at, NULL, NULL),
            durations
        FROM told WHERE cell_id IS NOT NULL
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
    ), errors_told AS (
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
    ), activity_told AS (
        INSERT INTO student_activity AS a
        SELECT student_id, step, start, sum(executions * one), sum(errors * one), sum(helps * one)
        FROM placed GROUP BY student_id, step, start
        ORDER BY step, start, student_id  -- a class's are read together
        ON CONFLICT (student_id, step, start) DO UPDATE SET
            executions = a.executions + EXCLUDED.executions,
            errors = a.errors + EXCLUDED.errors,
            helps = a.helps + EXCLUDED.helps
    ), students_told AS (
        INSERT INTO student_progress AS p
        SELECT student_id, succeeded.at, named.at, notebook_id, reached.at, cell_id
        FROM (
            SELECT student_id, max(last_success_at) AS at FROM told GROUP BY student_id
        ) AS succeeded LEFT JOIN (
            SELECT DISTINCT ON (student_id) student_id, last_at AS at, notebook_id
            FROM told WHERE notebook_id IS NOT NULL
            ORDER BY student_id, last_at DESC, notebook_id DESC
        ) AS named USING (student_id) LEFT JOIN (
            SELECT DISTINCT ON (student_id) student_id, last_at AS at, cell_id
            FROM told WHERE cell_id IS NOT NULL
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
    FROM cells_told WHERE errors_before_success IS NULL;

    -- Rare: a success became known that is older than some of the errors.
    UPDATE cell_progress AS p SET errors_before_success = (
        SELECT count(*) FROM cell_executions AS e
        WHERE e.student_id = p.student_id AND e.cell_id = p.cell_id AND e.status = 'error'
            AND e.executed_at >= p.first_error_at AND e.executed_at < p.first_success_at
            AND NOT EXISTS (
                SELECT FROM uncounted AS u
                WHERE u.batch = e.batch AND e.received_at >= u.received_at
            )
    )
    FROM unnest(unclear_students, unclear_cells) AS unclear (student_id, cell_id)
    WHERE p.student_id = unclear.student_id AND p.cell_id = unclear.cell_id
        AND p.errors_before_success IS NULL;
    RETURN cardinality(batches) = most;
END $$;
