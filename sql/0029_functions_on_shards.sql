-- Functions that read or write tables are in PL/pgSQL, each statement with its parameters: where a
-- school is a schema of Citus's, functions in SQL can't be. They do what they did.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 29) AS wanted \gset
\if :wanted

CREATE OR REPLACE FUNCTION credential_version() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT version FROM credential_changes);
END $$;

CREATE OR REPLACE FUNCTION next_credential_version() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
BEGIN
    UPDATE credential_changes SET version = version + 1 RETURNING version INTO number;
    RETURN number;
END $$;

CREATE OR REPLACE FUNCTION executions_at(student bigint, times timestamptz[])
RETURNS SETOF cell_executions LANGUAGE plpgsql STABLE
SET enable_indexscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY SELECT * FROM cell_executions
    WHERE student_id = student AND executed_at = ANY (times)
        AND executed_at BETWEEN times[cardinality(times)] AND times[1];
END $$;

CREATE OR REPLACE FUNCTION name_of_cell(cell bigint)
RETURNS TABLE (name_hash bigint, said_position integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 AS $$
BEGIN
    RETURN QUERY
    SELECT hashtextextended(cell_id, 0), CASE WHEN position >= 0 THEN position END
    FROM cells WHERE id = cell;
END $$;

CREATE OR REPLACE FUNCTION newcomers_of(class bigint, student_ids bigint[])
RETURNS TABLE (student_id bigint, "position" bigint) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT s.id, min(s.position)
    FROM unnest(student_ids) WITH ORDINALITY AS s (id, position)
    LEFT JOIN LATERAL (
        SELECT true AS known FROM student_classes AS m
        WHERE m.student_id = s.id AND m.class_id = class OFFSET 0
    ) AS m ON true
    LEFT JOIN LATERAL (
        SELECT true AS known FROM class_removals AS r
        WHERE r.student_id = s.id AND r.class_id = class OFFSET 0
    ) AS r ON true
    WHERE m.known IS NULL AND r.known IS NULL
    GROUP BY s.id;
END $$;

CREATE OR REPLACE FUNCTION heard_in_no_class(teacher text, since timestamptz)
RETURNS TABLE (student_id bigint, user_id text, name text, last_received_at timestamptz)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH keys AS MATERIALIZED (
        SELECT 'key ' || k.id AS credential
        FROM ingest_keys AS k JOIN teaching AS t USING (class_id) WHERE t.user_id = teacher
    )
    SELECT t.student_id, s.user_id,
        CASE WHEN teacher IS NULL OR t.name_by IN (SELECT credential FROM keys)
             THEN shown(t.name) END,
        t.last_received_at
    FROM student_states AS t JOIN students AS s ON s.id = t.student_id
    WHERE t.class_id = 0 AND t.last_received_at >= since
        AND NOT EXISTS (SELECT FROM student_classes AS m WHERE m.student_id = t.student_id)
        AND NOT EXISTS (SELECT FROM class_removals AS r WHERE r.student_id = t.student_id)
        AND (teacher IS NULL OR EXISTS (
            SELECT FROM keys JOIN credential_hours AS h USING (credential)
            WHERE h.student_id = t.student_id AND h.hour >= since - interval '1 hour'
        ));
END $$;

CREATE OR REPLACE FUNCTION note_refusals(class_id bigint, reason text, user_ids text[], counts bigint[])
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    WITH class AS (
        SELECT id, 1000 - (
            SELECT count(*) FROM class_refusals AS r WHERE r.class_id = $1 AND r.reason = $2
        ) AS free
        FROM classes WHERE id = $1 FOR KEY SHARE
    ), refused AS (
        SELECT user_id, sum(count) AS events FROM unnest($3, $4) AS t (user_id, count)
        GROUP BY user_id
    ), placed AS (
        SELECT refused.*, known.user_id IS NOT NULL OR row_number() OVER (
            PARTITION BY known.user_id IS NULL ORDER BY refused.user_id
        ) <= free AS listed
        FROM class CROSS JOIN refused LEFT JOIN class_refusals AS known
            ON known.class_id = $1 AND known.reason = $2 AND known.user_id = refused.user_id
    )
    INSERT INTO class_refusals AS r (class_id, reason, user_id, events, day_events)
    SELECT $1, $2, CASE WHEN listed THEN user_id ELSE '' END AS id, sum(events), sum(events)
    FROM placed GROUP BY id ORDER BY id  -- one order for all writers: no deadlock
    ON CONFLICT (class_id, reason, user_id) DO UPDATE SET
        events = r.events + EXCLUDED.events, last_at = EXCLUDED.last_at,
        day_events = EXCLUDED.day_events + CASE
            WHEN (r.last_at AT TIME ZONE 'UTC')::date = (EXCLUDED.last_at AT TIME ZONE 'UTC')::date
            THEN r.day_events ELSE 0 END;
END $$;

CREATE OR REPLACE FUNCTION record_withdrawn(rows bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger AS l (replica, stored, withdrawn)
    SELECT '00000000-0000-0000-0000-000000000000', -$1, $1 WHERE $1 <> 0
    ON CONFLICT (replica) DO UPDATE SET
        stored = l.stored + EXCLUDED.stored, withdrawn = l.withdrawn + EXCLUDED.withdrawn;
END $$;

CREATE OR REPLACE FUNCTION copy_aliases(to_class bigint, aliases bigint[], cell_ids bigint[])
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
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
END $$;

CREATE OR REPLACE FUNCTION move_points(
    old bigint, target bigint, times timestamptz[], event_ids uuid[], event_types text[]
) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO outbox_deletions (
        after_points, student_id, user_id, event_times, event_ids, event_types)
    SELECT COALESCE((SELECT max(id) FROM outbox_points), 0), $1, user_id, $3, $4, $5
    FROM students WHERE id = $1;

    INSERT INTO outbox_points (created_at, student_ids, first_times, last_times)
    SELECT now() - interval '1 hour', ARRAY[target], ARRAY[min(at)], ARRAY[max(at)]
    FROM unnest(times) AS at;
END $$;

CREATE OR REPLACE FUNCTION recount_starts(students bigint[]) RETURNS void LANGUAGE plpgsql
SET jit = off AS $$
BEGIN
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
            IS DISTINCT FROM (latest.at, latest.alias_id, latest.cell_id);
END $$;

-- Rows of a trigger join no table of Citus's, so their students are looked up by an array.
CREATE OR REPLACE FUNCTION audit_joining() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    j     record;
    roles jsonb;
BEGIN
    FOR j IN
        SELECT joined_by, class_id, array_agg(student_id) AS student_ids, array_agg(role) AS roles
        FROM joined WHERE joined_by IS NOT NULL AND joined_at = now()
        GROUP BY joined_by, class_id
    LOOP
        SELECT jsonb_object_agg(s.user_id, r.role) INTO roles
        FROM unnest(j.student_ids, j.roles) AS r (student_id, role)
        JOIN students AS s ON s.id = r.student_id;
        INSERT INTO audit_log (role, name, operation, path, detail) VALUES (
            'key', j.joined_by, 'joining with a key', '/classes/' || j.class_id,
            jsonb_build_object('enrolled', roles));
    END LOOP;
    RETURN NULL;
END $$;

-- Citus 14 fails on INSERT … SELECT from a table where a column's default or another expression has to be
-- evaluated.
CREATE OR REPLACE FUNCTION join_class(class_id bigint, student_ids bigint[], credential text)
RETURNS TABLE (student_id bigint, outcome text) LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    max_waiting CONSTANT integer := 500;  -- for each credential
    newcomers bigint[];
    staff     bigint[];  -- of other classes
    policy    text;
    admitted  bigint := 0;  -- how many more may join today
    waiting   bigint := 0;  -- how many more may wait
BEGIN
    IF EXISTS (SELECT FROM newcomers_of(join_class.class_id, student_ids)) THEN
        PERFORM pg_advisory_xact_lock(
            hashtext('cell-monitor joining'), hashint8(join_class.class_id));
        -- Those that another call has enrolled meanwhile are none any more.
        newcomers := ARRAY(
            SELECT n.student_id FROM newcomers_of(join_class.class_id, student_ids) AS n
            ORDER BY position
        );
        SELECT join_policy, CASE WHEN join_policy = 'open' THEN max_new_names ELSE 0 END
        INTO policy, admitted
        FROM classes WHERE id = join_class.class_id FOR KEY SHARE;
        IF policy <> 'roster' THEN
            SELECT admitted - count(*) INTO admitted FROM (
                SELECT FROM student_classes AS m
                WHERE m.class_id = join_class.class_id AND role = 'student'
                    AND joined_by IS NOT NULL AND joined_at >= date_trunc('day', now(), 'UTC')
                LIMIT admitted
            ) AS joined;
            SELECT max_waiting - count(*) INTO waiting FROM (
                SELECT FROM student_classes AS m
                WHERE m.class_id = join_class.class_id AND role = 'waiting'
                    AND joined_by = credential
                LIMIT max_waiting
            ) AS those;
            staff := ARRAY(
                SELECT student_id FROM student_classes
                WHERE student_id = ANY (newcomers) AND role IN ('teacher', 'assistant')
            );
            INSERT INTO student_classes (student_id, class_id, role, joined_by)
            SELECT id, join_class.class_id,
                CASE WHEN position <= admitted AND NOT id = ANY (staff) THEN 'student'
                ELSE 'waiting' END, credential
            FROM unnest(newcomers) WITH ORDINALITY AS n (id, position)
            WHERE position <= admitted + waiting
            ORDER BY id  -- as rosters are written: no deadlock
            ON CONFLICT (student_id, class_id) DO NOTHING;  -- put on the roster at this moment
        END IF;
    END IF;
    RETURN QUERY SELECT s.id, CASE
        WHEN m.role IN ('student', 'waiting') THEN m.role
        WHEN m.role IS NOT NULL THEN 'staff'
        WHEN policy IS NULL OR r.removed THEN 'removed'
        WHEN policy = 'roster' THEN 'not_on_roster'
        ELSE 'too_many_waiting'
    END
    FROM (SELECT DISTINCT id FROM unnest(student_ids) AS id) AS s
    LEFT JOIN LATERAL (
        SELECT role FROM student_classes
        WHERE student_id = s.id AND class_id = join_class.class_id OFFSET 0
    ) AS m ON true
    LEFT JOIN LATERAL (
        SELECT true AS removed FROM class_removals
        WHERE student_id = s.id AND class_id = join_class.class_id OFFSET 0
    ) AS r ON true;
END $$;

-- Citus 14 loses the value of `CASE a WHEN value` in what writes.
DO $$
DECLARE
    definition text;
BEGIN
    FOR definition IN
        SELECT pg_get_functiondef(to_regproc(name)) FROM unnest(ARRAY[
            'count_batches', 'recount_totals', 'merge_students', 'finish_withdrawal_step'
        ]) AS name
    LOOP
        definition := replace(definition, 'CASE e.status WHEN ''error'' THEN', 'CASE WHEN e.status = ''error'' THEN');
        definition := replace(definition, 'CASE m.role WHEN ''waiting'' THEN', 'CASE WHEN m.role = ''waiting'' THEN');
        definition := replace(definition, 'CASE state WHEN ''withdrawing'' THEN', 'CASE WHEN state = ''withdrawing'' THEN');
        EXECUTE definition;
    END LOOP;
END $$;

-- The indexes of the months before it were built anew after the months had been clustered.
ALTER TABLE clustered ADD COLUMN rebuilt_until date NOT NULL DEFAULT '-infinity';

INSERT INTO schema_migrations (number, name) VALUES (29, 'functions_on_shards');
\endif
COMMIT;
