-- Events from before classes were kept: each gets its class and that class's notebook, and states and
-- counters are made from them.
--
-- Until the very end, tables are only locked against writers.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 8) AS wanted \gset
\if :wanted

-- Makes the states and the counters of these students anew from their home rows: the same numbers as
-- the batches and count_batches made, while the server runs. What the states say besides (claimed
-- names, credentials) stays.
--
-- A batch stores its rows, then locks its states in the order of their keys, and is counted later. So
-- once the states are locked here, each batch is in them with all its rows or with none. Counters are
-- made without the batches that are still to be counted; the advisory lock of count_batches keeps
-- their number constant.
CREATE FUNCTION recount_students(students bigint[]) RETURNS void LANGUAGE plpgsql
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
                e.alias_id, e.cell_id,
                true AS in_counters, e.status <> 'rendered' AS ran, e.status = 'error' AS failed,
                false AS helped, false AS stopped, e.duration_ms AS duration,
                CASE e.status WHEN 'error' THEN COALESCE(left(e.error, 500), '') END AS error
            FROM cell_executions AS e
            WHERE e.student_id = s.student_id AND e.excluded IS NULL
            UNION ALL
            SELECT e.student_id, e.class_id, e.received_at, e.clock_offset, e.batch,
                e.event_time, put_right(e.received_at, e.event_time, e.clock_offset),
                e.alias_id, e.cell_id,
                true, false, false, e.event_type = 'help', e.event_type = 'help_stop', NULL, NULL
            FROM events AS e
            WHERE e.student_id = s.student_id AND e.excluded IS NULL
            UNION ALL
            SELECT e.student_id, e.class_id, e.received_at, e.clock_offset, e.batch,
                e.accessed_at, put_right(e.received_at, e.accessed_at, e.clock_offset),
                e.alias_id, e.cell_id,
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
                FILTER (WHERE h.at = s.cell_at AND h.cell_id IS NOT NULL))[1] AS cell_id
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
        SELECT *, min(at) FILTER (WHERE ran AND NOT failed)
            OVER (PARTITION BY student_id, alias_id, cell_id) AS first_success_at
        FROM home WHERE counted AND in_counters
    ), cell_totals AS (
        SELECT student_id, alias_id, cell_id,
            count(*) FILTER (WHERE ran) AS executions,
            count(*) FILTER (WHERE failed) AS errors,
            min(at) FILTER (WHERE failed) AS first_error_at,
            max(at) FILTER (WHERE failed) AS last_error_at,
            min(first_success_at) AS first_success_at,
            count(*) FILTER (WHERE failed AND (first_success_at IS NULL OR at < first_success_at))
                AS errors_before_success
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
        INSERT INTO cell_progress
        SELECT student_id, alias_id, cell_id, executions, errors, first_error_at, last_error_at,
            first_success_at, errors_before_success, COALESCE(durations, 0)
        FROM cell_totals LEFT JOIN cell_durations USING (student_id, alias_id, cell_id)
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

-- First that of count_batches, then the tables in the order in which a batch locks them: no deadlock
-- with servers that are still writing.
SELECT pg_advisory_xact_lock(hashtext('cell-monitor progress'));
LOCK TABLE cell_executions, events, notebook_accesses, students, outbox_counts, classes,
    student_classes, class_assignments, notebooks, cells, help_requests
    IN SHARE ROW EXCLUSIVE MODE;

-- Who was pending: enrolment shows nothing from elsewhere any more.
UPDATE student_classes SET role = 'student' WHERE role = 'pending';

-- Which student used which notebook and cell.
CREATE TEMPORARY TABLE earlier_uses ON COMMIT DROP AS
    SELECT student_id, alias_id AS notebook_id, cell_id FROM cell_executions
    UNION SELECT student_id, alias_id, cell_id FROM events
    UNION SELECT student_id, alias_id, cell_id FROM notebook_accesses;

-- A student's class where the notebook doesn't decide it: their only one, or their only active one.
CREATE TEMPORARY TABLE earlier_students ON COMMIT DROP AS
    SELECT student_id, CASE WHEN count(*) = 1 THEN min(class_id) END AS only_class,
        CASE WHEN count(*) FILTER (WHERE is_active) = 1
            THEN min(class_id) FILTER (WHERE is_active) END AS active_class
    FROM student_classes JOIN classes ON classes.id = class_id
    WHERE role = 'student' GROUP BY student_id;

-- A student's class by notebook; 0 stands for no notebook, too.
CREATE TEMPORARY TABLE earlier_places ON COMMIT DROP AS
    SELECT student_id, notebook_id, COALESCE(only_class, class_id, active_class, 0) AS class_id
    FROM (SELECT DISTINCT student_id, COALESCE(notebook_id, 0) AS notebook_id FROM earlier_uses)
        AS used
    LEFT JOIN earlier_students USING (student_id)
    LEFT JOIN (
        SELECT m.student_id, n.id AS notebook_id, min(m.class_id) AS class_id
        FROM earlier_students JOIN student_classes AS m USING (student_id)
        JOIN (
            SELECT DISTINCT a.class_id, path_in_order(path) AS path
            FROM class_assignments AS a JOIN notebooks AS n ON n.id = a.notebook_id
        ) AS h ON h.class_id = m.class_id
        JOIN notebooks AS n ON path_in_order(n.path) = h.path
        WHERE only_class IS NULL AND m.role = 'student'
        GROUP BY m.student_id, n.id HAVING count(*) = 1
    ) AS handed_out USING (student_id, notebook_id);
ANALYZE earlier_places;

-- The notebooks of each class, one row for each notebook of before. One class keeps its id: one that
-- handed it out rather than one that used it, and no class only if there is none.
CREATE TEMPORARY TABLE earlier_notebooks ON COMMIT DROP AS
    SELECT m.class_id, old_id, n.path AS said, path_in_order(n.path) AS path, n.created_at, used,
        handed_out, row_number() OVER (
            PARTITION BY old_id ORDER BY handed_out DESC, m.class_id = 0, m.class_id
        ) = 1 AS keeps_id,
        NULL::bigint AS notebook_id, NULL::bigint AS alias_id
    FROM (
        SELECT class_id, old_id, bool_or(used) AS used, bool_or(handed_out) AS handed_out
        FROM (
            SELECT class_id, notebook_id AS old_id, true AS used, false AS handed_out
            FROM earlier_places WHERE notebook_id <> 0
            UNION ALL
            SELECT class_id, notebook_id, false, true FROM class_assignments
            UNION ALL
            SELECT 0, id, false, false FROM notebooks AS n
            WHERE NOT EXISTS (SELECT FROM earlier_places WHERE notebook_id = n.id)
                AND NOT EXISTS (SELECT FROM class_assignments WHERE notebook_id = n.id)
        ) AS reasons
        GROUP BY class_id, old_id
    ) AS m
    JOIN notebooks AS n ON n.id = old_id;

-- Paths that are one in order are one notebook.
UPDATE earlier_notebooks AS e SET notebook_id = kept.old_id
FROM (
    SELECT DISTINCT ON (class_id, path) class_id, path, old_id
    FROM earlier_notebooks WHERE keeps_id
    ORDER BY class_id, path, handed_out DESC, old_id
) AS kept
WHERE e.class_id = kept.class_id AND e.path = kept.path;
-- First to paths that nothing else has: the unique key is checked row by row.
UPDATE notebooks AS n SET path = '/being moved/' || id, has_events = false
FROM earlier_notebooks AS e
WHERE e.old_id = n.id AND e.keeps_id
    AND (n.class_id, n.path, n.id) IS DISTINCT FROM (e.class_id, e.path, e.notebook_id);
UPDATE notebooks AS n SET class_id = e.class_id, path = e.path, name = file_name(e.path)
FROM earlier_notebooks AS e
WHERE e.old_id = n.id AND e.keeps_id AND e.notebook_id = n.id
    AND (n.class_id, n.path) IS DISTINCT FROM (e.class_id, e.path);
INSERT INTO notebooks (class_id, path, name, created_at)
SELECT class_id, path, file_name(path), min(created_at) FROM earlier_notebooks
WHERE notebook_id IS NULL GROUP BY class_id, path ORDER BY class_id, path;
UPDATE earlier_notebooks AS e SET notebook_id = n.id
FROM notebooks AS n
WHERE e.notebook_id IS NULL AND n.class_id = e.class_id AND n.path = e.path;
UPDATE notebooks AS n SET has_events = used.it
FROM (
    SELECT notebook_id, bool_or(used) AS it FROM earlier_notebooks GROUP BY notebook_id
) AS used
WHERE used.notebook_id = n.id AND n.has_events <> used.it;

ALTER TABLE class_assignments DISABLE TRIGGER touched;
UPDATE class_assignments AS a SET notebook_id = e.notebook_id
FROM earlier_notebooks AS e
WHERE e.class_id = a.class_id AND e.old_id = a.notebook_id AND e.notebook_id <> a.notebook_id;
ALTER TABLE class_assignments ENABLE TRIGGER touched;
DELETE FROM notebooks WHERE path = '/being moved/' || id;

-- The alias of the class that keeps the notebook's id gets the same id, so that its cells stay.
UPDATE earlier_notebooks AS e SET alias_id = old_id
WHERE keeps_id AND (used OR EXISTS (SELECT FROM cells WHERE cells.alias_id = old_id));
INSERT INTO notebook_aliases (id, class_id, path, notebook_id)
SELECT alias_id, class_id, said, notebook_id FROM earlier_notebooks WHERE alias_id IS NOT NULL;
SELECT setval('notebook_aliases_id_seq', max(id)) FROM notebooks HAVING count(*) > 0;
INSERT INTO notebook_aliases (class_id, path, notebook_id)
SELECT class_id, said, notebook_id FROM earlier_notebooks
WHERE used AND NOT keeps_id ORDER BY class_id, said;
UPDATE earlier_notebooks AS e SET alias_id = a.id
FROM notebook_aliases AS a
WHERE e.used AND NOT e.keeps_id AND a.class_id = e.class_id AND a.path = e.said;

-- The cells of each class. One class keeps the cell's id, if possible the one of its notebook.
CREATE TEMPORARY TABLE earlier_cells ON COMMIT DROP AS
    SELECT class_id, n.alias_id, c.id AS old_id, c.cell_id AS said, CASE WHEN row_number() OVER (
            PARTITION BY c.id ORDER BY n.keeps_id DESC, class_id = 0, class_id
        ) = 1 THEN c.id END AS cell_id
    FROM (
        SELECT DISTINCT class_id, notebook_id AS old_id, cell_id
        FROM earlier_uses JOIN earlier_places USING (student_id, notebook_id)
        WHERE cell_id IS NOT NULL
    ) AS used
    JOIN earlier_notebooks AS n USING (class_id, old_id)
    JOIN cells AS c ON c.id = used.cell_id;
UPDATE cells AS c SET alias_id = e.alias_id
FROM earlier_cells AS e
WHERE e.cell_id = c.id AND e.alias_id <> c.alias_id;
INSERT INTO cells (alias_id, cell_id, type, position, type_at, position_at)
SELECT e.alias_id, c.cell_id, c.type, c.position, c.type_at, c.position_at
FROM earlier_cells AS e JOIN cells AS c ON c.id = e.old_id
WHERE e.cell_id IS NULL ORDER BY e.alias_id, c.cell_id;
UPDATE earlier_cells AS e SET cell_id = c.id
FROM cells AS c
WHERE e.cell_id IS NULL AND c.alias_id = e.alias_id AND c.cell_id = e.said;

-- Home rows. 0 stands for no notebook and no cell, so that each row has a match. Joined by hash tables
-- in memory, they are written in the order in which they lie, clustered.
SET LOCAL work_mem = '256MB';
SET LOCAL enable_nestloop = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL jit = off;
CREATE TEMPORARY TABLE earlier_rows ON COMMIT DROP AS
    SELECT p.student_id, p.notebook_id, p.class_id, n.alias_id
    FROM earlier_places AS p
    LEFT JOIN earlier_notebooks AS n ON n.class_id = p.class_id AND n.old_id = p.notebook_id;
INSERT INTO earlier_cells (class_id, old_id) SELECT DISTINCT class_id, 0 FROM earlier_places;
ANALYZE earlier_rows;
ANALYZE earlier_cells;

UPDATE cell_executions AS e SET class_id = r.class_id, alias_id = r.alias_id, cell_id = c.cell_id,
    status = CASE WHEN e.cell_type IN ('markdown', 'raw') THEN 'rendered' ELSE e.status END
FROM earlier_rows AS r JOIN earlier_cells AS c USING (class_id)
WHERE r.student_id = e.student_id AND r.notebook_id = COALESCE(e.alias_id, 0)
    AND c.old_id = COALESCE(e.cell_id, 0)
    AND (r.class_id <> 0 OR r.alias_id <> e.alias_id OR c.cell_id <> e.cell_id
        OR e.cell_type IN ('markdown', 'raw'));
UPDATE events AS e SET class_id = r.class_id, alias_id = r.alias_id, cell_id = c.cell_id
FROM earlier_rows AS r JOIN earlier_cells AS c USING (class_id)
WHERE r.student_id = e.student_id AND r.notebook_id = COALESCE(e.alias_id, 0)
    AND c.old_id = COALESCE(e.cell_id, 0)
    AND (r.class_id <> 0 OR r.alias_id <> e.alias_id OR c.cell_id <> e.cell_id);
UPDATE notebook_accesses AS e SET class_id = r.class_id, alias_id = r.alias_id, cell_id = c.cell_id
FROM earlier_rows AS r JOIN earlier_cells AS c USING (class_id)
WHERE r.student_id = e.student_id AND r.notebook_id = COALESCE(e.alias_id, 0)
    AND c.old_id = COALESCE(e.cell_id, 0)
    AND (r.class_id <> 0 OR r.alias_id <> e.alias_id OR c.cell_id <> e.cell_id);

SET LOCAL work_mem = DEFAULT;
SET LOCAL enable_nestloop = DEFAULT;
SET LOCAL enable_mergejoin = DEFAULT;
SET LOCAL jit = DEFAULT;

-- States and counters. All rows are there, so no batch is left to be counted.
DELETE FROM outbox_counts;
DO $$
DECLARE
    step bigint[];
BEGIN
    FOR step IN
        SELECT array_agg(id) FROM (
            SELECT id, row_number() OVER (ORDER BY id) / 100 AS number FROM students WHERE has_events
        ) AS numbered
        GROUP BY number ORDER BY number
    LOOP
        PERFORM recount_students(step);
    END LOOP;
END $$;

-- A request for help belongs to the class of the call after that stop. Times of stops are put right.
WITH requests AS (
    DELETE FROM help_requests RETURNING *
), called AS (
    SELECT r.*, COALESCE(h.class_id, s.only_class, s.active_class, 0) AS called_in
    FROM requests AS r
    LEFT JOIN earlier_students AS s USING (student_id)
    LEFT JOIN LATERAL (
        SELECT class_id FROM events AS e
        WHERE e.student_id = r.student_id AND e.event_type = 'help' AND e.event_time > r.after_stop
        ORDER BY e.event_time LIMIT 1
    ) AS h ON true
)
INSERT INTO help_requests
    (student_id, class_id, after_stop, taken_by, taken_at, resolved_by, resolved_at)
SELECT DISTINCT ON (student_id, called_in, stopped_at)
    student_id, called_in, stopped_at, taken_by, taken_at, resolved_by, resolved_at
FROM (
    SELECT *, COALESCE((
        SELECT max(put_right(e.received_at, e.event_time, e.clock_offset)) FROM events AS e
        WHERE e.student_id = called.student_id AND e.class_id = called_in
            AND e.event_type = 'help_stop' AND e.event_time <= after_stop
    ), '-infinity') AS stopped_at
    FROM called
) AS stopped
ORDER BY student_id, called_in, stopped_at, after_stop DESC;

-- Names that events claimed, or teachers set, stay in the classes where they were seen.
UPDATE student_classes AS m SET name = s.name, email = s.email, team = s.team
FROM students AS s
WHERE s.id = m.student_id AND (s.name, s.email, s.team) IS DISTINCT FROM (NULL, NULL, NULL);
UPDATE student_states AS m SET name = s.name, name_at = s.name_at, email = s.email,
    email_at = s.email_at, team = s.team, team_at = s.team_at
FROM students AS s
WHERE s.id = m.student_id AND (s.name, s.email, s.team) IS DISTINCT FROM (NULL, NULL, NULL);
UPDATE students SET name = NULL, email = NULL, team = NULL
WHERE has_events AND (name, email, team) IS DISTINCT FROM (NULL, NULL, NULL);

-- That a class has events is no change of the class.
CREATE OR REPLACE TRIGGER touched BEFORE UPDATE ON classes
    FOR EACH ROW WHEN (OLD.has_events = NEW.has_events) EXECUTE FUNCTION touch();
UPDATE classes SET has_events = true WHERE id IN (SELECT class_id FROM earlier_places);
UPDATE ingest_keys SET has_events = true WHERE id IN (SELECT key_id FROM ingest_usage);

-- States have these now. From here on readers wait, too.
ALTER TABLE students
    DROP COLUMN help_active,
    DROP COLUMN name_at,
    DROP COLUMN email_at,
    DROP COLUMN team_at,
    DROP COLUMN executions,
    DROP COLUMN errors,
    DROP COLUMN last_event_at,
    DROP COLUMN last_received_at,
    DROP COLUMN clock_skew,
    DROP COLUMN help_at,
    DROP COLUMN help_stop_at;

INSERT INTO schema_migrations (number, name) VALUES (8, 'earlier_events');
\endif
COMMIT;
