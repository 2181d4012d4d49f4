-- A batch of new names takes time in proportion to them: however long the roster is, and in sets.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 17) AS wanted \gset
\if :wanted

-- A student of a class is found by both, whichever index a plan takes.
DROP INDEX student_classes_class;
CREATE INDEX student_classes_class ON student_classes (class_id, student_id);

-- Whom the limits of join_class count.
CREATE INDEX student_classes_joined ON student_classes (class_id, joined_at)
    WHERE role = 'student' AND joined_by IS NOT NULL;
CREATE INDEX student_classes_waiting ON student_classes (class_id, joined_by)
    WHERE role = 'waiting';

-- As before, except that it looks each of the students up and never reads the roster: it counts up to a
-- limit, by an index of its own, and plans anew each time, because a plan for a short roster is no plan for
-- a long one.
CREATE OR REPLACE FUNCTION join_class(class_id bigint, student_ids bigint[], credential text)
RETURNS TABLE (student_id bigint, outcome text) LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    max_waiting CONSTANT integer := 500;  -- for each credential
    newcomers bigint[];
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
            INSERT INTO student_classes (student_id, class_id, role, joined_by)
            SELECT id, join_class.class_id,
                CASE WHEN position <= admitted AND elsewhere IS NULL THEN 'student'
                ELSE 'waiting' END, credential
            FROM unnest(newcomers) WITH ORDINALITY AS n (id, position)
            LEFT JOIN LATERAL (
                SELECT role AS elsewhere FROM student_classes
                WHERE student_id = n.id AND role IN ('teacher', 'assistant') LIMIT 1
            ) AS staff ON true
            WHERE position <= admitted + waiting
            ORDER BY id  -- as rosters are written: no deadlock
            ON CONFLICT DO NOTHING;  -- put on the roster at this moment
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

CREATE OR REPLACE FUNCTION newcomers_of(class bigint, student_ids bigint[])
RETURNS TABLE (student_id bigint, "position" bigint) LANGUAGE sql STABLE AS $$
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
    GROUP BY s.id
$$;

-- They join what they have added to what was said, which takes a hash whatever the session prefers, and a plan
-- for as many names.
ALTER FUNCTION name_cells(bigint[], bigint[], bigint[], text[], text[], integer[])
    SET enable_hashjoin = on SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION name_notebooks(bigint[], bigint[], text[])
    SET enable_hashjoin = on SET plan_cache_mode = force_custom_plan;

-- Puts right the events of senders that came since their clocks became doubtful, by offsets that are known
-- only now. The arrays have an element for each sender, in the order of the students.
CREATE FUNCTION correct_clocks(
    students bigint[], sessions bigint[], sent_with text[], since_claimed timestamptz[],
    since_received timestamptz[], new_offsets bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    home record;
BEGIN
    FOR home IN SELECT name, time_column FROM home_tables ORDER BY number LOOP
        EXECUTE format($sql$
            WITH senders AS MATERIALIZED (
                SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
                    AS s (student_id, session_id, credential, claimed, received, new_offset)
            ), corrected AS (
                UPDATE %1$I AS e SET clock_offset = s.new_offset FROM senders AS s
                WHERE e.student_id = s.student_id AND e.%2$I >= s.claimed AND e.%2$I >= $7
                    AND e.received_at >= s.received
                    AND e.session_id IS NOT DISTINCT FROM s.session_id
                    AND e.credential IS NOT DISTINCT FROM s.credential
                    AND e.clock_offset <> s.new_offset AND e.%2$I <> e.received_at
                RETURNING e.student_id
            )
            INSERT INTO outbox_recounts SELECT DISTINCT student_id FROM corrected
            ORDER BY student_id ON CONFLICT DO NOTHING
        $sql$, home.name, home.time_column)
        USING students, sessions, sent_with, since_claimed, since_received, new_offsets,
            (SELECT min(claimed) FROM unnest(since_claimed) AS claimed);
    END LOOP;
END $$;
DROP FUNCTION correct_clock(bigint, bigint, text, timestamptz, timestamptz, bigint);

INSERT INTO schema_migrations (number, name) VALUES (17, 'batches_of_new_names');
\endif
COMMIT;
