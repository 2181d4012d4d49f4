-- A withdrawal of a class's key leaves to other classes what has been assigned to them: of the key's rows
-- it takes those of its class and of none. Before, it took all.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 14) AS wanted \gset
\if :wanted

-- Withdraws up to `most` rows of a student; returns how many, 0 when none is left. The caller recounts
-- the student afterwards.
CREATE OR REPLACE FUNCTION withdraw_rows(withdrawal bigint, student bigint, most integer, has_influx boolean)
RETURNS bigint LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    job  withdrawals;
    home record;
    done bigint := 0;
    rows bigint;
BEGIN
    PERFORM lock_rows_of(ARRAY[student]);
    SELECT * INTO STRICT job FROM withdrawals WHERE id = withdrawal FOR UPDATE;
    FOR home IN SELECT * FROM home_tables ORDER BY number LOOP
        EXIT WHEN done >= most;
        EXECUTE format($sql$
            WITH spans AS MATERIALIZED (
                SELECT credential, first_at, last_at,
                    GREATEST(hour, $3) AS since, LEAST(hour + interval '1 hour', $4) AS until
                FROM credential_hours
                WHERE credential = ANY ($2) AND student_id = $1
                    AND hour > $3 - interval '1 hour' AND hour < $4
            ), wanted AS MATERIALIZED (
                SELECT e.* FROM spans AS s CROSS JOIN LATERAL (
                    SELECT e.%2$I AS at, e.event_id, e.excluded FROM %1$I AS e
                    WHERE e.student_id = $1 AND e.%2$I BETWEEN s.first_at AND s.last_at
                        AND e.credential = s.credential
                        AND e.received_at >= s.since AND e.received_at < s.until
                        AND e.excluded IS DISTINCT FROM 'withdrawn'
                        AND ($5::bigint[] IS NULL OR e.class_id = ANY ($5)) OFFSET 0
                ) AS e LIMIT $6
            ), changed AS (
                UPDATE %1$I AS e SET excluded = 'withdrawn' FROM wanted AS w
                WHERE e.student_id = $1 AND e.%2$I = w.at AND e.event_id = w.event_id
                    AND e.%2$I BETWEEN (SELECT min(at) FROM wanted) AND (SELECT max(at) FROM wanted)
                RETURNING e.*, w.at, w.excluded AS excluded_before,
                    sha256(convert_to(
                        format('withdrawn %1$s %%s %%s %%s', $1, extract(epoch FROM w.at), e.event_id),
                        'UTF8')) AS digest
            ), letters AS (
                INSERT INTO rejected_events (
                    digest, received_at, last_at, source, path, reason, raw, class_id, credential)
                SELECT c.digest, c.received_at, now(), 'withdrawn', '', $7, (
                        jsonb_strip_nulls(jsonb_build_object(
                            'eventId', c.event_id, 'eventType', c.event_type, 'eventTime', c.at,
                            'userId', students.user_id, 'sessionId', sessions.session_id,
                            'notebookPath', aliases.path, 'cellId', cells.cell_id,
                            'cellType', c.cell_type %3$s))
                        || jsonb_build_object('metadata', c.metadata)
                    )::text, NULLIF(c.class_id, 0), c.credential
                FROM changed AS c
                JOIN students ON students.id = c.student_id
                LEFT JOIN sessions ON sessions.id = c.session_id
                LEFT JOIN notebook_aliases AS aliases ON aliases.id = c.alias_id
                LEFT JOIN cells ON cells.id = c.cell_id
                RETURNING id, digest
            ), kept AS (
                INSERT INTO withdrawn_events
                SELECT l.id, $8, c.student_id, %1$L, c.at, c.event_id, c.excluded_before
                FROM changed AS c JOIN letters AS l USING (digest)
            ), points AS (
                INSERT INTO outbox_deletions (
                    after_points, student_id, user_id, event_times, event_ids, event_types)
                SELECT COALESCE((SELECT max(id) FROM outbox_points), 0), $1,
                    (SELECT user_id FROM students WHERE id = $1),
                    array_agg(at), array_agg(event_id), array_agg(event_type)
                FROM changed HAVING count(*) > 0 AND $9
            ), claims AS (
                SELECT class_id, min(put_right(received_at, at, clock_offset)) AS first_at,
                    max(put_right(received_at, at, clock_offset)) AS last_at
                FROM changed GROUP BY class_id
            ), kept_claims AS (
                INSERT INTO withdrawn_claims
                SELECT $8, s.student_id, s.class_id, claim.*
                FROM claims AS c JOIN student_states AS s USING (class_id)
                CROSS JOIN LATERAL (VALUES
                    ('name', s.name, s.name_at, s.name_by),
                    ('email', s.email, s.email_at, s.email_by),
                    ('team', s.team, s.team_at, s.team_by)
                ) AS claim (field, value, at, by)
                WHERE s.student_id = $1 AND claim.value IS NOT NULL
                    AND claim.by = ANY ($2) AND claim.at BETWEEN c.first_at AND c.last_at
                ON CONFLICT (withdrawal_id, student_id, class_id, field) DO UPDATE SET
                    value = EXCLUDED.value, claimed_at = EXCLUDED.claimed_at,
                    claimed_by = EXCLUDED.claimed_by
                RETURNING class_id, field
            ), cleared AS (
                UPDATE student_states AS s SET
                    name = CASE WHEN k.name THEN NULL ELSE s.name END,
                    name_at = CASE WHEN k.name THEN 'epoch' ELSE s.name_at END,
                    name_by = CASE WHEN k.name THEN NULL ELSE s.name_by END,
                    email = CASE WHEN k.email THEN NULL ELSE s.email END,
                    email_at = CASE WHEN k.email THEN 'epoch' ELSE s.email_at END,
                    email_by = CASE WHEN k.email THEN NULL ELSE s.email_by END,
                    team = CASE WHEN k.team THEN NULL ELSE s.team END,
                    team_at = CASE WHEN k.team THEN 'epoch' ELSE s.team_at END,
                    team_by = CASE WHEN k.team THEN NULL ELSE s.team_by END
                FROM (
                    SELECT class_id, bool_or(field = 'name') AS name,
                        bool_or(field = 'email') AS email, bool_or(field = 'team') AS team
                    FROM kept_claims GROUP BY class_id
                ) AS k
                WHERE s.student_id = $1 AND s.class_id = k.class_id
            )
            SELECT count(*) FROM changed
        $sql$, home.name, home.time_column, home.run_fields)
        INTO rows
        USING student, job.credentials, job.since, job.until,
            CASE WHEN job.only_class AND job.key_id IS NOT NULL THEN ARRAY[job.class_id, 0]
                WHEN job.only_class THEN ARRAY[job.class_id] END,
            most - done,
            'Withdrawn by ' || job.requested_by, withdrawal, has_influx;
        done := done + rows;
    END LOOP;
    UPDATE withdrawals SET events = events + done, problem = NULL WHERE id = withdrawal;
    PERFORM record_withdrawn(done);
    RETURN done;
END $$;

INSERT INTO schema_migrations (number, name) VALUES (14, 'withdrawals_of_keys');
\endif
COMMIT;
