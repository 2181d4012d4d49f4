-- A class has a room, in which its students have seats; and says when a student is stuck.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 23) AS wanted \gset
\if :wanted

-- Cancel autovacuum of these tables, which takes a second, and keep it out.
LOCK TABLE classes, student_classes IN SHARE UPDATE EXCLUSIVE MODE;
-- A reader holds the lock of one of these tables while it waits for another's. Release all of them when one
-- isn't granted within 0.2 s, before PostgreSQL detects a deadlock and ends one of the two transactions.
DO $$
BEGIN
    FOR attempt IN 1..50 LOOP
        BEGIN
            SET LOCAL lock_timeout = '200ms';
            LOCK TABLE classes, student_classes;
            SET LOCAL lock_timeout = '5s';
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.1);
        END;
    END LOOP;
    RAISE lock_not_available USING MESSAGE = 'canceling statement due to lock timeout';
END $$;

-- Rows are counted from the front, columns from the left as the teacher's desk is seen from the seats.
-- There is an aisle after each of the columns in `aisles`.
CREATE TABLE rooms (
    class_id     bigint PRIMARY KEY REFERENCES classes ON DELETE CASCADE,
    seat_rows    integer NOT NULL CHECK (seat_rows BETWEEN 1 AND 50),
    seat_columns integer NOT NULL CHECK (seat_columns BETWEEN 1 AND 50),
    aisles       integer[] NOT NULL DEFAULT '{}'
);

-- The number on the class's list, how the name is read, and where the student sits. Students may swap
-- seats in one statement or in several.
ALTER TABLE student_classes
    ADD COLUMN number integer,
    ADD COLUMN kana text,
    ADD COLUMN seat_row integer,
    ADD COLUMN seat_column integer,
    ADD CONSTRAINT student_classes_whole_seat CHECK ((seat_row IS NULL) = (seat_column IS NULL)),
    ADD CONSTRAINT student_classes_seat UNIQUE (class_id, seat_row, seat_column)
        DEFERRABLE INITIALLY DEFERRED;

-- A student is stuck after so many errors in a row, or without a success for so long since the first.
ALTER TABLE classes
    ADD COLUMN stuck_errors integer NOT NULL DEFAULT 3,
    ADD COLUMN stuck_minutes integer NOT NULL DEFAULT 5;

-- Of two ids that are one student, the one that stays keeps its number, reading and seat, and takes the
-- other's where it has none: two lines may have one seat until the transaction ends.
DO $$
DECLARE
    definition CONSTANT text := pg_get_functiondef('merge_students(bigint, bigint)'::regprocedure);
    changed text := definition;
BEGIN
    changed := replace(changed, 'name, email, team, joined_by)', 'name, email, team, joined_by,
        number, kana, seat_row, seat_column)');
    changed := replace(changed, 'name, email, team, joined_by
    FROM student_classes', 'name, email, team, joined_by,
        number, kana, seat_row, seat_column
    FROM student_classes');
    changed := replace(changed, 'team = COALESCE(m.team, EXCLUDED.team);', 'team = COALESCE(m.team, EXCLUDED.team),
        number = COALESCE(m.number, EXCLUDED.number),
        kana = COALESCE(m.kana, EXCLUDED.kana),
        seat_row = COALESCE(m.seat_row, EXCLUDED.seat_row),
        seat_column = CASE WHEN m.seat_row IS NULL THEN EXCLUDED.seat_column ELSE m.seat_column END;');
    IF length(changed) < length(definition) + 300 THEN
        RAISE EXCEPTION 'merge_students merges no lines of rosters';
    END IF;
    EXECUTE changed;
END $$;

-- Who joins at this moment is left out by the line that they have: PostgreSQL refuses ON CONFLICT without
-- columns where a unique constraint, as that of seats, is deferrable.
DO $$
DECLARE
    definition CONSTANT text := pg_get_functiondef('join_class(bigint, bigint[], text)'::regprocedure);
BEGIN
    IF strpos(definition, 'ON CONFLICT DO NOTHING;') = 0 THEN
        RAISE EXCEPTION 'join_class puts nobody on a roster';
    END IF;
    EXECUTE replace(
        definition, 'ON CONFLICT DO NOTHING;', 'ON CONFLICT (student_id, class_id) DO NOTHING;');
END $$;

INSERT INTO schema_migrations (number, name) VALUES (23, 'rooms');
\endif
COMMIT;
