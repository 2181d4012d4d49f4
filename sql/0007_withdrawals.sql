-- (to be filled)

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 7) AS wanted \gset
\if :wanted

INSERT INTO schema_migrations (number, name) VALUES (7, 'withdrawals');
\endif
COMMIT;
