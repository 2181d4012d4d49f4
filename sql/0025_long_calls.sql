-- A call for help may last for days, whatever the offset of the student's clock. Refused events are counted
-- by day, and what a day has used is found by the day.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 25) AS wanted \gset
\if :wanted

-- The same as put_right, in terms that an index accepts: no time zone of a session bears on it.
CREATE FUNCTION sign_time(received_at timestamptz, claimed_at timestamptz, clock_offset bigint)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT LEAST(received_at,
        (claimed_at AT TIME ZONE 'UTC' + clock_offset * interval '1 microsecond') AT TIME ZONE 'UTC')
$$;

-- What bears on calls for help: a small part of the events.
CREATE INDEX events_signs ON events (student_id, sign_time(received_at, event_time, clock_offset))
    WHERE event_type IN ('help', 'help_stop', 'session_start');

-- From when on signs are read, so that a call which lasts at `since` is read from its first heartbeat: just
-- before the first of the heartbeats that are at most three minutes apart. Three days are the most.
CREATE FUNCTION calls_from(
    student bigint, classes bigint[], since timestamptz, greatest_offset bigint)
RETURNS timestamptz LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    edge  timestamptz := since;
    heard timestamptz;
BEGIN
    WHILE edge > since - interval '3 days' LOOP
        SELECT sign_time(e.received_at, e.event_time, e.clock_offset) INTO heard
        FROM events AS e
        WHERE e.student_id = student AND e.class_id = ANY (classes) AND e.excluded IS NULL
            AND e.event_type = 'help'
            AND sign_time(e.received_at, e.event_time, e.clock_offset) >= edge - interval '3 minutes'
            AND sign_time(e.received_at, e.event_time, e.clock_offset) < edge
            AND e.event_time >= edge - interval '3 minutes'
                - greatest_offset * interval '1 microsecond'  -- leaves out earlier partitions
        ORDER BY sign_time(e.received_at, e.event_time, e.clock_offset) LIMIT 1;
        EXIT WHEN NOT FOUND;
        edge := heard;
    END LOOP;
    RETURN edge - interval '1 microsecond';
END $$;

-- As in 0020, of a call that lasts at `since` from its first heartbeat on.
CREATE OR REPLACE FUNCTION calls_for_help(
    student bigint, classes bigint[], since timestamptz, until timestamptz, as_of timestamptz,
    least_offset bigint, greatest_offset bigint)
RETURNS TABLE (began_at timestamptz, is_settled boolean) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    edge CONSTANT timestamptz := calls_from(student, classes, since, greatest_offset);
BEGIN
    RETURN QUERY WITH signs AS (
        SELECT sign_time(e.received_at, e.event_time, e.clock_offset) AS at, 0 AS rank,
            e.event_type AS kind, COALESCE(e.session_id, 0) AS session
        FROM events AS e
        WHERE e.student_id = student AND e.class_id = ANY (classes) AND e.excluded IS NULL
            AND e.event_type IN ('help', 'help_stop', 'session_start')
            AND sign_time(e.received_at, e.event_time, e.clock_offset) > edge
            AND sign_time(e.received_at, e.event_time, e.clock_offset) <= until
            AND e.event_time > edge - greatest_offset * interval '1 microsecond'
            AND e.event_time <= until - least_offset * interval '1 microsecond'
        UNION ALL
        SELECT heard_at, 1, 'settled', -1 FROM help_requests
        WHERE student_id = student AND class_id = ANY (classes) AND resolved_at <= as_of
    ), marks AS (
        SELECT at, CASE kind WHEN 'session_start' THEN -1 WHEN 'help_stop' THEN 2 ELSE rank END AS rank,
            kind, session
        FROM signs WHERE at > edge AND (at <= until OR kind = 'settled')
    ), pairs AS (
        SELECT *, kind = 'help' AND (
            lag(kind) OVER signs IS NULL OR lag(kind) OVER signs = 'help_stop'
            OR at - lag(at) OVER signs > interval '3 minutes'
        ) AS is_first
        FROM marks WINDOW signs AS (PARTITION BY kind = 'session_start' ORDER BY at, rank)
    ), chains AS (
        SELECT *, count(*) FILTER (WHERE is_first) OVER (ORDER BY at, rank ROWS UNBOUNDED PRECEDING)
            AS chain
        FROM pairs
    ), sessions AS (
        SELECT *, kind = 'help' AND lag(kind) OVER (
            PARTITION BY chain, kind IN ('help', 'session_start'), session ORDER BY at, rank
        ) IS DISTINCT FROM 'help' AS is_fresh,
            count(*) FILTER (WHERE kind = 'settled') OVER (
                PARTITION BY chain ORDER BY at, rank ROWS UNBOUNDED PRECEDING
            ) AS answers
        FROM chains
    ), beginnings AS (
        SELECT *, is_first OR is_fresh AND answers > 0 AND row_number() OVER (
            PARTITION BY chain, answers, is_fresh ORDER BY at, rank
        ) = 1 AS begins
        FROM sessions
    ), numbered AS (
        SELECT *, count(*) FILTER (WHERE begins) OVER (ORDER BY at, rank ROWS UNBOUNDED PRECEDING)
            AS number
        FROM beginnings
    )
    SELECT min(at) FILTER (WHERE kind = 'help'), bool_or(kind = 'settled')
    FROM numbered GROUP BY number HAVING count(*) FILTER (WHERE kind = 'help') > 0;
END $$;

-- `day_events` are those of the day (UTC) of `last_at`.
ALTER TABLE class_refusals ADD COLUMN day_events bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION note_refusals(class_id bigint, reason text, user_ids text[], counts bigint[])
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
    INSERT INTO class_refusals AS r (class_id, reason, user_id, events, day_events)
    SELECT $1, $2, CASE WHEN listed THEN user_id ELSE '' END AS id, sum(events), sum(events)
    FROM placed GROUP BY id ORDER BY id  -- one order for all writers: no deadlock
    ON CONFLICT (class_id, reason, user_id) DO UPDATE SET
        events = r.events + EXCLUDED.events, last_at = EXCLUDED.last_at,
        day_events = EXCLUDED.day_events + CASE
            WHEN (r.last_at AT TIME ZONE 'UTC')::date = (EXCLUDED.last_at AT TIME ZONE 'UTC')::date
            THEN r.day_events ELSE 0 END
$$;

-- Looked through by the day, of which their keys say nothing.
CREATE INDEX ingest_usage_day ON ingest_usage (day);
CREATE INDEX student_token_usage_day ON student_token_usage (day);

INSERT INTO schema_migrations (number, name) VALUES (25, 'long_calls');
\endif
COMMIT;
