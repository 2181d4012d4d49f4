-- A call for help has a beginning, computed from its events, and a teacher's answer refers to the
-- heartbeat that it answered.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 20) AS wanted \gset
\if :wanted

-- A row answers the call with the heartbeat of `heard_at`: the latest one known at the last answer. It is
-- taken while `taken_by` is not null and `returned_at` is null, and settled once `resolved_at` is not null.
ALTER TABLE help_requests RENAME COLUMN after_stop TO began_at;
ALTER TABLE help_requests
    ADD COLUMN heard_at timestamptz,
    ADD COLUMN returned_by text,
    ADD COLUMN returned_at timestamptz;
UPDATE help_requests SET heard_at = COALESCE(resolved_at, taken_at, began_at);
ALTER TABLE help_requests ALTER COLUMN heard_at SET NOT NULL;

-- The calls for help of a student in these classes, from events of (since, until] put right and from
-- answers given until `as_of`. They depend on which events there are, not on the order of their arrival.
--
-- The first heartbeat begins a call, and so does one after a `help_stop` or after three minutes without
-- any. The first heartbeat of another session, or after a `session_start` of its own, goes on with a call
-- that is not settled, and begins a new one after a call that is. All others go on with theirs.
CREATE FUNCTION calls_for_help(
    student bigint, classes bigint[], since timestamptz, until timestamptz, as_of timestamptz,
    least_offset bigint, greatest_offset bigint)
RETURNS TABLE (began_at timestamptz, is_settled boolean) LANGUAGE sql STABLE AS $$
    WITH signs AS (
        SELECT put_right(e.received_at, e.event_time, e.clock_offset) AS at, 0 AS rank,
            e.event_type AS kind, COALESCE(e.session_id, 0) AS session
        FROM events AS e
        WHERE e.student_id = student AND e.class_id = ANY (classes) AND e.excluded IS NULL
            AND e.event_type IN ('help', 'help_stop', 'session_start')
            AND e.event_time > since - greatest_offset * interval '1 microsecond'
            AND e.event_time <= until - least_offset * interval '1 microsecond'
        UNION ALL
        SELECT heard_at, 1, 'settled', -1 FROM help_requests
        WHERE student_id = student AND class_id = ANY (classes) AND resolved_at <= as_of
    ), marks AS (
        SELECT at, CASE kind WHEN 'session_start' THEN -1 WHEN 'help_stop' THEN 2 ELSE rank END AS rank,
            kind, session
        FROM signs WHERE at > since AND (at <= until OR kind = 'settled')
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
    FROM numbered GROUP BY number HAVING count(*) FILTER (WHERE kind = 'help') > 0
$$;

DO $$
DECLARE
    definition CONSTANT text := pg_get_functiondef('merge_students(bigint, bigint)'::regprocedure);
BEGIN
    IF strpos(definition, 'after_stop') = 0 THEN
        RAISE EXCEPTION 'merge_students merges no requests for help';
    END IF;
    EXECUTE replace(definition, 'after_stop', 'began_at, heard_at, returned_by, returned_at');
END $$;

INSERT INTO schema_migrations (number, name) VALUES (20, 'calls_for_help');
\endif
COMMIT;
