-- Joining a class with its key: policies, who waits, what was refused.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 5) AS wanted \gset
\if :wanted

-- Puts students who post with a class's key into the class, as its policy says; who teaches or assists
-- elsewhere waits, because nobody but a teacher enrols them as a student. One row for each: `student`;
-- `staff` of this class, who are never enrolled as students; `waiting`; `removed`, also
-- from a class that does not exist any more; `not_on_roster`; `too_many_waiting`.
--
-- The transaction has to be READ COMMITTED, and a caller with several classes takes them in ascending
-- order: calls with new names of one class wait for each other until they commit.
CREATE FUNCTION join_class(class_id bigint, student_ids bigint[], credential text)
RETURNS TABLE (student_id bigint, outcome text) LANGUAGE plpgsql AS $$
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
            SELECT
                GREATEST(admitted - count(*) FILTER (
                    WHERE role = 'student' AND joined_by IS NOT NULL
                        AND joined_at >= date_trunc('day', now(), 'UTC')
                ), 0),
                max_waiting - count(*) FILTER (
                    WHERE role = 'waiting' AND joined_by IS NOT DISTINCT FROM credential
                )
            INTO admitted, waiting
            FROM student_classes AS m WHERE m.class_id = join_class.class_id;
            INSERT INTO student_classes (student_id, class_id, role, joined_by)
            SELECT id, join_class.class_id,
                CASE WHEN position <= admitted AND NOT EXISTS (
                    SELECT FROM student_classes AS m
                    WHERE m.student_id = n.id AND m.role IN ('teacher', 'assistant')
                ) THEN 'student' ELSE 'waiting' END, credential
            FROM unnest(newcomers) WITH ORDINALITY AS n (id, position)
            WHERE position <= admitted + GREATEST(waiting, 0)
            ORDER BY id  -- as rosters are written: no deadlock
            ON CONFLICT DO NOTHING;  -- put on the roster at this moment
        END IF;
    END IF;
    RETURN QUERY SELECT s.id, CASE
        WHEN m.role IN ('student', 'waiting') THEN m.role
        WHEN m.role IS NOT NULL THEN 'staff'
        WHEN policy IS NULL OR r.student_id IS NOT NULL THEN 'removed'
        WHEN policy = 'roster' THEN 'not_on_roster'
        ELSE 'too_many_waiting'
    END
    FROM (SELECT DISTINCT id FROM unnest(student_ids) AS id) AS s
    LEFT JOIN student_classes AS m ON m.student_id = s.id AND m.class_id = join_class.class_id
    LEFT JOIN class_removals AS r ON r.student_id = s.id AND r.class_id = join_class.class_id;
END $$;

-- Those of the students who are in no way known to the class, with their first position in the array.
CREATE FUNCTION newcomers_of(class bigint, student_ids bigint[])
RETURNS TABLE (student_id bigint, "position" bigint) LANGUAGE sql STABLE AS $$
    SELECT s.id, min(s.position) FROM unnest(student_ids) WITH ORDINALITY AS s (id, position)
    WHERE NOT EXISTS (
        SELECT FROM student_classes AS m WHERE m.student_id = s.id AND m.class_id = class
    ) AND NOT EXISTS (
        SELECT FROM class_removals AS r WHERE r.student_id = s.id AND r.class_id = class
    )
    GROUP BY s.id
$$;

-- What a class turned away, so that its teacher sees it: for each reason the ids or, where nobody read
-- the events, hashes of the addresses. '' stands for those beyond the bound.
CREATE TABLE class_refusals (
    class_id bigint NOT NULL REFERENCES classes ON DELETE CASCADE,
    reason   text NOT NULL,
    user_id  text NOT NULL,
    events   bigint NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (class_id, reason, user_id)
) WITH (fillfactor = 70);

-- Adds to the refusals of a class, for each id how many events. A class that does not exist any more has
-- none. Concurrent calls may exceed the bound by a few ids.
CREATE FUNCTION note_refusals(class_id bigint, reason text, user_ids text[], counts bigint[])
RETURNS void LANGUAGE sql AS $$
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
    INSERT INTO class_refusals AS r (class_id, reason, user_id, events)
    SELECT $1, $2, CASE WHEN listed THEN user_id ELSE '' END AS id, sum(events)
    FROM placed GROUP BY id ORDER BY id  -- one order for all writers: no deadlock
    ON CONFLICT (class_id, reason, user_id) DO UPDATE SET
        events = r.events + EXCLUDED.events, last_at = EXCLUDED.last_at
$$;

-- Ids that two use at a time: two sessions from two addresses.
CREATE TABLE shared_ids (
    class_id   bigint NOT NULL REFERENCES classes ON DELETE CASCADE,
    student_id bigint NOT NULL REFERENCES students ON DELETE CASCADE,
    first_at   timestamptz NOT NULL,
    last_at    timestamptz NOT NULL,
    PRIMARY KEY (class_id, student_id)
);

-- Who was heard since then, is on no roster and was taken off none, with the name that their events claim.
-- With a teacher only those, and the names, that came by keys of the teacher's classes.
CREATE FUNCTION heard_in_no_class(teacher text, since timestamptz)
RETURNS TABLE (student_id bigint, user_id text, name text, last_received_at timestamptz)
LANGUAGE sql STABLE AS $$
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
        ))
$$;

INSERT INTO schema_migrations (number, name) VALUES (5, 'joining');
\endif
COMMIT;
