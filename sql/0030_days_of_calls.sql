-- A call for help that lasts for days is found and read at once, not three minutes at a time.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 30) AS wanted \gset
\if :wanted

-- From when on signs are read, as in 0025: just before the first of the heartbeats before `since` that are at
-- most three minutes apart. They are read backwards by the index, up to the first pause, at most three days.
CREATE FUNCTION calls_from(
    student bigint, classes bigint[], since timestamptz, least_offset bigint, greatest_offset bigint)
RETURNS timestamptz LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    edge timestamptz;
BEGIN
    SELECT next INTO edge FROM (
        SELECT heard.at, lag(heard.at, 1, since) OVER (ORDER BY heard.at DESC) AS next
        FROM (
            SELECT sign_time(e.received_at, e.event_time, e.clock_offset) AS at
            FROM events AS e
            WHERE e.student_id = student AND e.class_id = ANY (classes) AND e.excluded IS NULL
                AND e.event_type = 'help'
                AND sign_time(e.received_at, e.event_time, e.clock_offset) >= since - interval '3 days'
                AND sign_time(e.received_at, e.event_time, e.clock_offset) < since
                AND e.event_time >= since - interval '3 days' - greatest_offset * interval '1 microsecond'
                AND e.event_time < since - least_offset * interval '1 microsecond'
        ) AS heard
    ) AS pairs
    WHERE next - at > interval '3 minutes' ORDER BY at DESC LIMIT 1;
    IF NOT FOUND THEN  -- no pause: the first of them
        SELECT sign_time(e.received_at, e.event_time, e.clock_offset) INTO edge
        FROM events AS e
        WHERE e.student_id = student AND e.class_id = ANY (classes) AND e.excluded IS NULL
            AND e.event_type = 'help'
            AND sign_time(e.received_at, e.event_time, e.clock_offset) >= since - interval '3 days'
            AND sign_time(e.received_at, e.event_time, e.clock_offset) < since
            AND e.event_time >= since - interval '3 days' - greatest_offset * interval '1 microsecond'
            AND e.event_time < since - least_offset * interval '1 microsecond'
        ORDER BY sign_time(e.received_at, e.event_time, e.clock_offset) LIMIT 1;
    END IF;
    RETURN COALESCE(edge, since) - interval '1 microsecond';
END $$;

-- As in 0025. Of heartbeats of one session that follow each other, without a pause or another mark between
-- them, only the first and the last bear on calls: the others are left out before the calls are told apart.
CREATE OR REPLACE FUNCTION calls_for_help(
    student bigint, classes bigint[], since timestamptz, until timestamptz, as_of timestamptz,
    least_offset bigint, greatest_offset bigint)
RETURNS TABLE (began_at timestamptz, is_settled boolean) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    edge CONSTANT timestamptz := calls_from(student, classes, since, least_offset, greatest_offset);
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
            kind, session, CASE kind WHEN 'help' THEN session END AS heard
        FROM signs WHERE at > edge AND (at <= until OR kind = 'settled')
    ), neighbours AS (
        SELECT *, lag(heard) OVER marks = heard
                AND at - lag(at) OVER marks <= interval '3 minutes' AS goes_on,
            lead(heard) OVER marks = heard
                AND lead(at) OVER marks - at <= interval '3 minutes' AS is_followed
        FROM marks WINDOW marks AS (ORDER BY at, rank)
    ), pairs AS (
        SELECT *, goes_on IS NOT TRUE AND kind = 'help' AND (
            lag(kind) OVER signs IS NULL OR lag(kind) OVER signs = 'help_stop'
            OR at - lag(at) OVER signs > interval '3 minutes'
        ) AS is_first
        FROM neighbours WHERE (goes_on AND is_followed) IS NOT TRUE
        WINDOW signs AS (PARTITION BY kind = 'session_start' ORDER BY at, rank)
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

DROP FUNCTION calls_from(bigint, bigint[], timestamptz, bigint);

INSERT INTO schema_migrations (number, name) VALUES (30, 'days_of_calls');
\endif
COMMIT;
