-- Whose event it is: each home row has its class, credential and clock; a student's state, counters and
-- place stand in one row for each class they work in; notebooks belong to a class.
--
-- Only the shape of the tables; 0008 fills them. Others wait as long as it takes to build the new
-- primary key of the executions.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 3) AS wanted \gset
\if :wanted

-- First that of count_batches, then the tables in the order in which a batch locks them: no deadlock
-- with servers that are still writing.
SELECT pg_advisory_xact_lock(hashtext('cell-monitor progress'));
-- Cancel autovacuum of these tables, which takes a second, and keep it out.
LOCK TABLE cell_executions, events, notebook_accesses, students, outbox_points, outbox_counts,
    rejected_events, first_receipts, classes, student_classes, ingest_keys, help_requests, notebooks,
    cells, cell_progress, cell_errors, student_activity, student_progress IN SHARE UPDATE EXCLUSIVE MODE;
-- A reader holds the lock of one of these tables while it waits for another's. Release all of them when one
-- isn't granted within 0.2 s, before PostgreSQL detects a deadlock and ends one of the two transactions.
DO $$
BEGIN
    FOR attempt IN 1..50 LOOP
        BEGIN
            SET LOCAL lock_timeout = '200ms';
            LOCK TABLE cell_executions, events, notebook_accesses, students, outbox_points,
                outbox_counts, rejected_events, first_receipts, classes, student_classes, ingest_keys,
                help_requests, notebooks, cells, cell_progress, cell_errors, student_activity,
                student_progress;
            SET LOCAL lock_timeout = '5s';
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.1);
        END;
    END LOOP;
    RAISE lock_not_available USING MESSAGE = 'canceling statement due to lock timeout';
END $$;

-- Home rows. Class 0 is none. The time put right, which state and views follow, is put_right(…).

ALTER TABLE cell_executions
    ADD COLUMN class_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN credential text,                        -- `key 7`, `token 12`, `person ann`, or none
    ADD COLUMN verified boolean NOT NULL DEFAULT false, -- by the student's own credential
    ADD COLUMN clock_offset bigint NOT NULL DEFAULT 0,  -- microseconds to add to the claimed time
    ADD COLUMN excluded text;                           -- why it doesn't count: disputed, withdrawn
ALTER TABLE cell_executions RENAME COLUMN notebook_id TO alias_id;
-- Timelines filter by the class, too.
ALTER TABLE cell_executions
    DROP CONSTRAINT cell_executions_pkey,
    ADD PRIMARY KEY (student_id, executed_at, event_id)
        INCLUDE (alias_id, cell_id, status, class_id, excluded);
ALTER TABLE events
    ADD COLUMN class_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN credential text,
    ADD COLUMN verified boolean NOT NULL DEFAULT false,
    ADD COLUMN clock_offset bigint NOT NULL DEFAULT 0,
    ADD COLUMN excluded text;
ALTER TABLE events RENAME COLUMN notebook_id TO alias_id;
ALTER TABLE notebook_accesses
    ADD COLUMN class_id bigint NOT NULL DEFAULT 0,
    ADD COLUMN credential text,
    ADD COLUMN verified boolean NOT NULL DEFAULT false,
    ADD COLUMN clock_offset bigint NOT NULL DEFAULT 0,
    ADD COLUMN excluded text;
ALTER TABLE notebook_accesses RENAME COLUMN notebook_id TO alias_id;

-- The server never sees an event before it was sent, so no time is later than its receipt.
CREATE FUNCTION put_right(received_at timestamptz, claimed_at timestamptz, clock_offset bigint)
RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT LEAST(received_at, claimed_at + clock_offset * interval '1 microsecond')
$$;

-- A sender is a student, a session ('' is none, and not shown) and a credential, so that nobody else's
-- clock counts for the student's. The offset is null until it is known. `doubtful_*` is the first of the
-- events that came later than the offset explains.
CREATE TABLE sender_clocks (
    session_id   bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    credential   text NOT NULL,  -- '' is none
    clock_offset bigint,         -- microseconds
    doubtful_at  timestamptz,
    doubtful_received_at timestamptz,
    PRIMARY KEY (session_id, credential)
) WITH (fillfactor = 70);

-- Students whose rows have changed: they are to be counted anew.
CREATE TABLE outbox_recounts (
    student_id bigint PRIMARY KEY
);

-- Puts right the events of a sender that came since its clock became doubtful, by an offset that is
-- known only now.
CREATE FUNCTION correct_clock(
    student bigint, session bigint, sent_with text, since_claimed timestamptz,
    since_received timestamptz, new_offset bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    home      record;
    corrected integer;
    total     integer := 0;
BEGIN
    FOR home IN SELECT * FROM (VALUES
        ('cell_executions', 'executed_at'), ('events', 'event_time'),
        ('notebook_accesses', 'accessed_at')
    ) AS t (relation, claimed_at) LOOP
        EXECUTE format(
            'UPDATE %I SET clock_offset = $1 WHERE student_id = $2 AND %I >= $3
                 AND received_at >= $4 AND session_id IS NOT DISTINCT FROM $5
                 AND credential IS NOT DISTINCT FROM $6 AND clock_offset <> $1
                 AND %I <> received_at',
            home.relation, home.claimed_at, home.claimed_at)
        USING new_offset, student, since_claimed, since_received, session, sent_with;
        GET DIAGNOSTICS corrected = ROW_COUNT;
        total := total + corrected;
    END LOOP;
    IF total > 0 THEN
        INSERT INTO outbox_recounts VALUES (student) ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- The first judgement of an event whose time is absurd, or nearly: a retry is judged alike.
ALTER TABLE first_receipts ADD COLUMN stored_at timestamptz;  -- its time as stored
UPDATE first_receipts SET stored_at = received_at;
ALTER TABLE first_receipts ALTER COLUMN stored_at SET NOT NULL;

-- Classes and their rosters.

ALTER TABLE classes
    ADD COLUMN has_events boolean NOT NULL DEFAULT false,
    ADD COLUMN join_policy text NOT NULL DEFAULT 'open'
        CHECK (join_policy IN ('open', 'approve', 'roster')),
    ADD COLUMN max_new_names integer NOT NULL DEFAULT 500;  -- a day; from then on as `approve`
ALTER TABLE ingest_keys ADD COLUMN has_events boolean NOT NULL DEFAULT false;

CREATE TRIGGER named_by_events BEFORE DELETE ON classes
    FOR EACH ROW WHEN (OLD.has_events) EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER named_by_events_truncate BEFORE TRUNCATE ON classes
    EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER named_by_events BEFORE DELETE ON ingest_keys
    FOR EACH ROW WHEN (OLD.has_events) EXECUTE FUNCTION refuse_delete();

-- Roles: student, assistant, teacher, waiting (to be let in). Name, email and team are the roster's.
ALTER TABLE student_classes
    ADD COLUMN name text,
    ADD COLUMN email text,
    ADD COLUMN team text,
    ADD COLUMN joined_by text;  -- a credential, such as `key 7`; null: put on the roster

DROP FUNCTION is_of_others(bigint, bigint[]);

-- Who was taken off a roster: a key does not bring them back.
CREATE TABLE class_removals (
    student_id bigint NOT NULL REFERENCES students ON DELETE CASCADE,
    class_id   bigint NOT NULL REFERENCES classes ON DELETE CASCADE,
    removed_at timestamptz NOT NULL DEFAULT now(),
    removed_by text NOT NULL,
    PRIMARY KEY (student_id, class_id)
);

-- A student's state in a class, updated by each batch in its transaction; class 0 is none. All times
-- are put right. Name, email and team are what events claim, with whom they came from.
CREATE TABLE student_states (
    student_id       bigint NOT NULL,
    class_id         bigint NOT NULL,
    executions       bigint NOT NULL DEFAULT 0,
    errors           bigint NOT NULL DEFAULT 0,
    last_received_at timestamptz,
    last_success_at  timestamptz,
    error_times      timestamptz[] NOT NULL DEFAULT '{}',  -- since then; the latest 100, ascending
    alias_at         timestamptz,  -- of the latest event that names a notebook
    alias_id         bigint,
    cell_at          timestamptz,  -- of the latest event that names a cell
    cell_id          bigint,
    help_at          timestamptz,  -- of the latest `help` and `help_stop`
    help_stop_at     timestamptz,
    name             text,
    name_at          timestamptz NOT NULL DEFAULT 'epoch',
    name_by          text,
    email            text,
    email_at         timestamptz NOT NULL DEFAULT 'epoch',
    email_by         text,
    team             text,
    team_at          timestamptz NOT NULL DEFAULT 'epoch',
    team_by          text,
    verified_by      text,         -- the latest of the student's own credentials
    verified_until   timestamptz,  -- when that ends
    least_offset     bigint NOT NULL DEFAULT 0,  -- clock offsets of the rows lie between these
    greatest_offset  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (student_id, class_id)
) WITH (fillfactor = 50);  -- room in the page for the versions that each batch adds
CREATE INDEX student_states_class ON student_states (class_id, student_id);

DROP TABLE student_progress;

-- A name to show; null if it has no visible character. monitor/pipeline/messages.py has the same list.
CREATE FUNCTION shown(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN name ~ '[^\u0001-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]'
        THEN name END
$$;

-- The error times after a success, the latest 100, of two such lists.
CREATE FUNCTION errors_since(success timestamptz, earlier timestamptz[], later timestamptz[])
RETURNS timestamptz[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT COALESCE(array_agg(at ORDER BY at), '{}') FROM (
        SELECT at FROM unnest(earlier || later) AS at
        WHERE success IS NULL OR at > success ORDER BY at DESC LIMIT 100
    ) AS latest
$$;

ALTER TABLE help_requests ADD COLUMN class_id bigint NOT NULL DEFAULT 0;
ALTER TABLE help_requests DROP CONSTRAINT help_requests_pkey;
ALTER TABLE help_requests ADD PRIMARY KEY (student_id, class_id, after_stop);

-- Notebooks belong to a class (0: to none). Home rows, cells and counters refer to an alias: a class and
-- a path as it was said, which stands for a notebook of that class.

-- A path in order: one kind of slash, NFC, no drive, no leading `/` or `./`.
CREATE FUNCTION path_in_order(path text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT COALESCE(NULLIF(regexp_replace(
        normalize(replace(path, '\', '/'), NFC), '^([A-Za-z]+:(?=.))?(\.?/+)*', ''), ''), path)
$$;

CREATE FUNCTION file_name(path text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(path, '^.*/(?=.)', '')
$$;

ALTER TABLE notebooks ADD COLUMN class_id bigint NOT NULL DEFAULT 0;
ALTER TABLE notebooks DROP CONSTRAINT notebooks_path_key;
ALTER TABLE notebooks ADD CONSTRAINT notebooks_path_key UNIQUE (class_id, path);

CREATE TABLE notebook_aliases (
    id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    class_id    bigint NOT NULL,
    path        text NOT NULL,  -- as events say it
    notebook_id bigint NOT NULL REFERENCES notebooks,
    UNIQUE (class_id, path)
);
CREATE INDEX notebook_aliases_notebook ON notebook_aliases (notebook_id);
CREATE TRIGGER named_by_events BEFORE DELETE ON notebook_aliases
    FOR EACH ROW EXECUTE FUNCTION refuse_delete();

ALTER TABLE cells RENAME COLUMN notebook_id TO alias_id;
ALTER TABLE cells DROP CONSTRAINT cells_notebook_id_fkey;
ALTER TABLE cells RENAME CONSTRAINT cells_notebook_id_cell_id_key TO cells_alias_id_cell_id_key;
ALTER TABLE cell_progress RENAME COLUMN notebook_id TO alias_id;
ALTER TABLE cell_errors RENAME COLUMN notebook_id TO alias_id;
CREATE INDEX cell_progress_alias ON cell_progress (alias_id);

-- The counters of a student over time get the class.
DROP VIEW student_activity_counts;
ALTER TABLE student_activity ADD COLUMN class_id bigint NOT NULL DEFAULT 0;
ALTER TABLE student_activity DROP CONSTRAINT student_activity_pkey;
ALTER TABLE student_activity ADD PRIMARY KEY (student_id, class_id, step, start);

-- In which hours (by receipt) events of which students were sent with a credential, so that they can be
-- listed and withdrawn without an index on the firehose.
CREATE TABLE credential_hours (
    credential text NOT NULL,
    hour       timestamptz NOT NULL,
    student_id bigint NOT NULL,
    first_at   timestamptz NOT NULL,  -- the claimed times of the events lie between these
    last_at    timestamptz NOT NULL,
    PRIMARY KEY (credential, hour, student_id)
) WITH (fillfactor = 70);

-- What decides the class of events is kept in each server's memory until it changes here: a row for
-- each change. Rows in place of one counter, so that changes don't wait for each other.
CREATE TABLE roster_changes (
    id         bigint GENERATED BY DEFAULT AS IDENTITY,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION note_roster_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO roster_changes DEFAULT VALUES;
    RETURN NULL;
END $$;
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OR DELETE ON student_classes
    EXECUTE FUNCTION note_roster_change();
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OF class_code, is_active OR DELETE ON classes
    EXECUTE FUNCTION note_roster_change();
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OR DELETE ON class_assignments
    EXECUTE FUNCTION note_roster_change();
CREATE TRIGGER roster_changed AFTER UPDATE ON notebook_aliases
    FOR EACH ROW WHEN (OLD.notebook_id <> NEW.notebook_id) EXECUTE FUNCTION note_roster_change();
CREATE TRIGGER roster_changed AFTER UPDATE OF name, email, team ON students
    EXECUTE FUNCTION note_roster_change();
CREATE TRIGGER roster_changed AFTER UPDATE OF verified_until ON student_states
    FOR EACH ROW WHEN (OLD.verified_until IS DISTINCT FROM NEW.verified_until)
    EXECUTE FUNCTION note_roster_change();

-- Dead letters keep where they came from.
ALTER TABLE rejected_events
    ADD COLUMN class_id bigint,
    ADD COLUMN credential text;

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
            SELECT e.student_id, e.class_id,
                put_right(e.received_at, e.executed_at, e.clock_offset) AS at, e.alias_id, e.cell_id,
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
                false, false, e.event_type = 'help', NULL::double precision, NULL
            FROM events AS e
            WHERE e.student_id = s.student_id AND e.batch = ANY (batches)
                AND e.event_time BETWEEN s.first_at AND s.last_at
                AND e.received_at >= since AND e.excluded IS NULL OFFSET 0
        ) AS e
    ), totals AS (
        SELECT student_id, alias_id, cell_id,
            count(*) FILTER (WHERE ran) AS executions,
            count(*) FILTER (WHERE failed) AS errors,
            min(at) FILTER (WHERE failed) AS first_error_at,
            max(at) FILTER (WHERE failed) AS last_error_at,
            min(at) FILTER (WHERE ran AND NOT failed) AS first_success_at,
            COALESCE(sum(one_at(duration_bucket(duration))) FILTER (WHERE ran AND duration >= 0), 0)
                AS durations
        FROM fresh GROUP BY student_id, alias_id, cell_id
    ), counted_cells AS (
        INSERT INTO cell_progress AS p
        SELECT student_id, alias_id, cell_id, executions, errors,
            first_error_at, last_error_at, first_success_at,
            errors_before(first_success_at, errors, first_error_at, last_error_at, NULL, NULL),
            durations
        FROM totals WHERE cell_id IS NOT NULL
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
            durations = p.durations + EXCLUDED.durations
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

-- The packed counters of student_activity, one row for each minute or hour with activity: for queries
-- by hand. The server's own reads add up packed columns first and unpack the sums.
CREATE VIEW student_activity_counts AS
    SELECT student_id, class_id, step, start + make_interval(secs => step * place) AS at,
        mod(div(executions, one_at(place)), 100000000)::bigint AS executions,
        mod(div(errors, one_at(place)), 100000000)::bigint AS errors,
        mod(div(helps, one_at(place)), 100000000)::bigint AS helps
    FROM student_activity
    CROSS JOIN LATERAL generate_series(0, CASE step WHEN 60 THEN 59 ELSE 23 END) AS place
    WHERE mod(div(executions + helps, one_at(place)), 100000000) > 0;

INSERT INTO schema_migrations (number, name) VALUES (3, 'whose_event');
\endif
COMMIT;
