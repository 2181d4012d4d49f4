-- Irregular hand-ins: what is odd about a notebook that Jupyter opens is kept with the submission.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 13) AS wanted \gset
\if :wanted

-- [{"cell": its index or null, "finding": a sentence}]. What was handed in before was regular, or refused.
ALTER TABLE assignment_submissions ADD COLUMN irregularities jsonb NOT NULL DEFAULT '[]';

INSERT INTO schema_migrations (number, name) VALUES (13, 'irregular_hand_ins');
\endif
COMMIT;
