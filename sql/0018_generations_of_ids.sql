-- Each replica counts its batches, so that it notices when the database goes back in time.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 18) AS wanted \gset
\if :wanted

-- How many batches were stored with ids of the replica's present cache, its generation. The replica knows
-- how many it should find: with fewer, the cache names rows that are not there any more.
ALTER TABLE ledger
    ADD COLUMN generation uuid,
    ADD COLUMN batches bigint NOT NULL DEFAULT 0;

INSERT INTO schema_migrations (number, name) VALUES (18, 'generations_of_ids');
\endif
COMMIT;
