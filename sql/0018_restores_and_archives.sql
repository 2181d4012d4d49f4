-- Each replica counts its batches, so that it notices when the database goes back in time. Events of a month
-- that an operator has detached are kept in a partition of its late events.

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

-- Creates the partitions that an event of the month needs. Where the month's own has been detached (archived),
-- another one takes late events: its name ends in `_late`, once more for each time that it was detached.
CREATE FUNCTION ensure_month(month timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first     CONSTANT timestamptz := date_trunc('month', month, 'UTC');
    until     CONSTANT timestamptz := ((first AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    parent    text;
    partition text;
BEGIN
    PERFORM ensure_partitions(first, first);
    FOREACH parent IN ARRAY ARRAY['cell_executions', 'notebook_accesses', 'events'] LOOP
        partition := parent || to_char(first AT TIME ZONE 'UTC', '_YYYY_MM');
        WHILE to_regclass(partition) IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_inherits
            WHERE inhrelid = to_regclass(partition) AND inhparent = to_regclass(parent)
        ) LOOP
            partition := partition || '_late';
        END LOOP;
        IF to_regclass(partition) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', partition, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, partition, first, until);
        END IF;
    END LOOP;
END $$;

INSERT INTO schema_migrations (number, name) VALUES (18, 'restores_and_archives');
\endif
COMMIT;
