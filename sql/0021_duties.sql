-- Teachers who are in a class say so, and which part of it is theirs.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 21) AS wanted \gset
\if :wanted

-- A teacher is in the class while `seen_at` is recent. Empty arrays are no part of their own.
CREATE TABLE duties (
    class_id  bigint NOT NULL REFERENCES classes ON DELETE CASCADE,
    name      text NOT NULL,
    seat_rows integer[] NOT NULL DEFAULT '{}',
    teams     text[] NOT NULL DEFAULT '{}',
    seen_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (class_id, name)
);

INSERT INTO schema_migrations (number, name) VALUES (21, 'duties');
\endif
COMMIT;
