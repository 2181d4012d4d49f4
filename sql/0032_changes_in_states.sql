-- What changes a student's home rows writes the student's states. Servers keep what they have read of a
-- student until a later transaction has written the states; rows that are withdrawn, restored or moved in
-- several steps are counted anew only after the last one.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 32) AS wanted \gset
\if :wanted

-- Locks what changes of a student's home rows need: clustering moves rows, and batches update states.
CREATE OR REPLACE FUNCTION lock_rows_of(students bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM clustered FOR UPDATE;
    PERFORM FROM student_states WHERE student_id = ANY (students)
        ORDER BY student_id, class_id FOR UPDATE;
    UPDATE student_states SET executions = executions WHERE student_id = ANY (students);
END $$;

INSERT INTO schema_migrations (number, name) VALUES (32, 'changes_in_states');
\endif
COMMIT;
