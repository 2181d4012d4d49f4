-- Of a part that each replica has for itself only the one that saw it not well knows when it is well again.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 28) AS wanted \gset
\if :wanted

-- Which replica saw it last. Null for what is noticed in PostgreSQL.
ALTER TABLE notification_causes ADD COLUMN replica text;

INSERT INTO schema_migrations (number, name) VALUES (28, 'who_noticed');
\endif
COMMIT;
