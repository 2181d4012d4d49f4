-- Withdrawals and their replays in statements that Citus runs: each reads tables or writes one, and what is
-- read goes on as arrays. Citus inserts nothing right that it selects from a table, and takes no function in
-- RETURNING whose value may change.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 31) AS wanted \gset
\if :wanted

-- Clears a student's names that came with withdrawn events, and keeps them for a replay. Of each class of
-- `classes`, those that were claimed from `first_at` to `last_at` with one of the credentials.
CREATE FUNCTION withdraw_claims(
    withdrawal bigint, student bigint, credentials text[], classes bigint[], first_at timestamptz[],
    last_at timestamptz[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    claim record;
BEGIN
    FOR claim IN
        SELECT s.class_id, claims.*
        FROM unnest(classes, first_at, last_at) AS c (class_id, first_at, last_at)
        JOIN student_states AS s ON s.class_id = c.class_id
        CROSS JOIN LATERAL (VALUES
            ('name', s.name, s.name_at, s.name_by),
            ('email', s.email, s.email_at, s.email_by),
            ('team', s.team, s.team_at, s.team_by)
        ) AS claims (field, value, claimed_at, claimed_by)
        WHERE s.student_id = student AND claims.value IS NOT NULL
            AND claims.claimed_by = ANY (credentials) AND claims.claimed_at BETWEEN c.first_at AND c.last_at
        ORDER BY s.class_id, claims.field
    LOOP
        INSERT INTO withdrawn_claims VALUES (
            withdrawal, student, claim.class_id, claim.field, claim.value, claim.claimed_at,
            claim.claimed_by)
        ON CONFLICT (withdrawal_id, student_id, class_id, field) DO UPDATE SET
            value = EXCLUDED.value, claimed_at = EXCLUDED.claimed_at,
            claimed_by = EXCLUDED.claimed_by;
        EXECUTE format($sql$
            UPDATE student_states SET %1$I = NULL, %2$I = 'epoch', %3$I = NULL
            WHERE student_id = $1 AND class_id = $2
        $sql$, claim.field, claim.field || '_at', claim.field || '_by')
        USING student, claim.class_id;
    END LOOP;
END $$;

-- Adds the dead letters of withdrawn rows, each of which has its place in all the arrays. `kinds` is what
-- `excluded` was before.
CREATE FUNCTION add_withdrawn_letters(
    withdrawal bigint, student bigint, home text, why text, times timestamptz[], event_ids uuid[],
    kinds text[], digests bytea[], receipts timestamptz[], raws text[], classes bigint[],
    credentials text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    letters bigint[];
BEGIN
    INSERT INTO rejected_events (
        digest, received_at, last_at, source, path, reason, raw, class_id, credential)
    SELECT l.digest, l.received_at, now(), 'withdrawn', '', why, l.raw,
        NULLIF(l.class_id, 0), l.credential
    FROM unnest(digests, receipts, raws, classes, credentials)
        AS l (digest, received_at, raw, class_id, credential);
    SELECT array_agg(r.id ORDER BY l.place) INTO STRICT letters
    FROM unnest(digests) WITH ORDINALITY AS l (digest, place)
    JOIN rejected_events AS r ON r.digest = l.digest;
    INSERT INTO withdrawn_events
    SELECT e.letter_id, withdrawal, student, home, e.at, e.event_id, e.kind
    FROM unnest(letters, times, event_ids, kinds) AS e (letter_id, at, event_id, kind);
END $$;

-- Withdraws up to `most` rows of a student; returns how many, 0 when none is left. The caller recounts
-- the student afterwards.
CREATE OR REPLACE FUNCTION withdraw_rows(withdrawal bigint, student bigint, most integer, has_influx boolean)
RETURNS bigint LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    job       withdrawals;
    home      record;
    done      bigint := 0;
    user_name text;
    points    bigint;
    earliest  timestamptz;
    latest    timestamptz;
    times     timestamptz[];
    event_ids uuid[];
    kinds     text[];
    types     text[];
    digests   bytea[];
    receipts  timestamptz[];
    raws      text[];
    homes     bigint[];
    senders   text[];
    classes   bigint[];
    first_at  timestamptz[];
    last_at   timestamptz[];
BEGIN
    PERFORM lock_rows_of(ARRAY[student]);
    SELECT * INTO STRICT job FROM withdrawals WHERE id = withdrawal FOR UPDATE;
    SELECT user_id INTO STRICT user_name FROM students WHERE id = student;
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
            )
            SELECT array_agg(at), array_agg(event_id), array_agg(excluded) FROM wanted
        $sql$, home.name, home.time_column)
        INTO times, event_ids, kinds
        USING student, job.credentials, job.since, job.until,
            CASE WHEN job.only_class AND job.key_id IS NOT NULL THEN ARRAY[job.class_id, 0]
                WHEN job.only_class THEN ARRAY[job.class_id] END,
            most - done;
        CONTINUE WHEN times IS NULL;
        SELECT min(at), max(at) INTO earliest, latest FROM unnest(times) AS t (at);
        EXECUTE format($sql$
            UPDATE %1$I AS e SET excluded = 'withdrawn'
            FROM unnest($2::timestamptz[], $3::uuid[]) AS w (at, event_id)
            WHERE e.student_id = $1 AND e.%2$I = w.at AND e.event_id = w.event_id
                AND e.%2$I BETWEEN $4 AND $5
        $sql$, home.name, home.time_column)
        USING student, times, event_ids, earliest, latest;
        EXECUTE format($sql$
            SELECT array_agg(c.event_type ORDER BY w.place),
                array_agg(
                    sha256(convert_to(
                        format('withdrawn %1$s %%s %%s %%s', $1, extract(epoch FROM w.at), w.event_id),
                        'UTF8'))
                    ORDER BY w.place),
                array_agg(c.received_at ORDER BY w.place),
                array_agg((
                    jsonb_strip_nulls(jsonb_build_object(
                        'eventId', c.event_id, 'eventType', c.event_type, 'eventTime', w.at,
                        'userId', $6::text, 'sessionId', sessions.session_id,
                        'notebookPath', aliases.path, 'cellId', cells.cell_id,
                        'cellType', c.cell_type %3$s))
                    || jsonb_build_object('metadata', c.metadata)
                )::text ORDER BY w.place),
                array_agg(c.class_id ORDER BY w.place), array_agg(c.credential ORDER BY w.place)
            FROM unnest($2::timestamptz[], $3::uuid[]) WITH ORDINALITY AS w (at, event_id, place)
            JOIN %1$I AS c ON c.student_id = $1 AND c.%2$I = w.at AND c.event_id = w.event_id
            LEFT JOIN sessions ON sessions.id = c.session_id
            LEFT JOIN notebook_aliases AS aliases ON aliases.id = c.alias_id
            LEFT JOIN cells ON cells.id = c.cell_id
            WHERE c.%2$I BETWEEN $4 AND $5
        $sql$, home.name, home.time_column, home.run_fields)
        INTO types, digests, receipts, raws, homes, senders
        USING student, times, event_ids, earliest, latest, user_name;
        PERFORM add_withdrawn_letters(
            withdrawal, student, home.name, 'Withdrawn by ' || job.requested_by, times, event_ids, kinds,
            digests, receipts, raws, homes, senders);
        IF has_influx THEN
            SELECT COALESCE(max(o.id), 0) INTO points FROM outbox_points AS o;
            INSERT INTO outbox_deletions (
                after_points, student_id, user_id, event_times, event_ids, event_types)
            VALUES (points, student, user_name, times, event_ids, types);
        END IF;
        EXECUTE format($sql$
            SELECT array_agg(class_id), array_agg(first_at), array_agg(last_at) FROM (
                SELECT c.class_id, min(put_right(c.received_at, w.at, c.clock_offset)) AS first_at,
                    max(put_right(c.received_at, w.at, c.clock_offset)) AS last_at
                FROM unnest($2::timestamptz[], $3::uuid[]) AS w (at, event_id)
                JOIN %1$I AS c ON c.student_id = $1 AND c.%2$I = w.at AND c.event_id = w.event_id
                WHERE c.%2$I BETWEEN $4 AND $5
                GROUP BY c.class_id
            ) AS claims
        $sql$, home.name, home.time_column)
        INTO classes, first_at, last_at
        USING student, times, event_ids, earliest, latest;
        PERFORM withdraw_claims(withdrawal, student, job.credentials, classes, first_at, last_at);
        done := done + cardinality(times);
    END LOOP;
    UPDATE withdrawals SET events = events + done, problem = NULL WHERE id = withdrawal;
    PERFORM record_withdrawn(done);
    RETURN done;
END $$;

-- Restores up to `most` withdrawn rows of a student, or only the row of one dead letter; returns how
-- many dead letters are gone, 0 when none is left. The caller recounts the student afterwards.
CREATE OR REPLACE FUNCTION restore_rows(
    withdrawal bigint, student bigint, letter bigint, most integer, has_influx boolean
) RETURNS bigint LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    home      record;
    done      bigint := 0;
    restored  bigint := 0;
    rows      bigint;
    letters   bigint[];
    times     timestamptz[];
    event_ids uuid[];
    kinds     text[];
    earliest  timestamptz;
    latest    timestamptz;
BEGIN
    PERFORM lock_rows_of(ARRAY[student]);
    PERFORM FROM withdrawals WHERE id = withdrawal FOR UPDATE;
    FOR home IN SELECT * FROM home_tables ORDER BY number LOOP
        EXIT WHEN done >= most;
        SELECT array_agg(w.letter_id), array_agg(w.event_at), array_agg(w.event_id),
            array_agg(w.excluded), min(w.event_at), max(w.event_at)
        INTO letters, times, event_ids, kinds, earliest, latest
        FROM (
            SELECT * FROM withdrawn_events AS e
            WHERE e.withdrawal_id = withdrawal AND e.student_id = student AND e.home = home.name
                AND (letter IS NULL OR e.letter_id = letter)
            ORDER BY e.letter_id LIMIT most - done FOR UPDATE
        ) AS w;
        CONTINUE WHEN letters IS NULL;
        EXECUTE format($sql$
            UPDATE %1$I AS e SET excluded = w.excluded
            FROM unnest($2::timestamptz[], $3::uuid[], $4::text[]) AS w (at, event_id, excluded)
            WHERE e.student_id = $1 AND e.%2$I = w.at AND e.event_id = w.event_id
                AND e.%2$I BETWEEN $5 AND $6
        $sql$, home.name, home.time_column)
        USING student, times, event_ids, kinds, earliest, latest;
        GET DIAGNOSTICS rows = ROW_COUNT;
        DELETE FROM rejected_events WHERE id = ANY (letters);
        IF has_influx AND rows > 0 THEN  -- so old that the next sweep writes them
            INSERT INTO outbox_points (created_at, student_ids, first_times, last_times)
            VALUES (now() - interval '1 hour', ARRAY[student], ARRAY[earliest], ARRAY[latest]);
        END IF;
        done := done + cardinality(letters);
        restored := restored + rows;
    END LOOP;
    UPDATE withdrawals SET events = events - restored, problem = NULL WHERE id = withdrawal;
    PERFORM record_withdrawn(-restored);
    RETURN done;
END $$;

INSERT INTO schema_migrations (number, name) VALUES (31, 'withdrawals_on_shards');
\endif
COMMIT;
