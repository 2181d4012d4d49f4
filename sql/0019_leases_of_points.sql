-- Points are claimed by lease: no transaction is open while InfluxDB writes them, however long it takes.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 19) AS wanted \gset
\if :wanted

ALTER TABLE outbox_points ADD COLUMN claimed_at timestamptz NOT NULL DEFAULT '-infinity';

INSERT INTO schema_migrations (number, name) VALUES (19, 'leases_of_points');
\endif
COMMIT;
