-- The headings above a cell are found by one look-up: a student's Markdown cells in the notebook, by index.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 26) AS wanted \gset
\if :wanted

-- Counting code cells leaves it alone.
CREATE INDEX cell_progress_markdown ON cell_progress (student_id, alias_id, position)
    WHERE type = 'markdown';

INSERT INTO schema_migrations (number, name) VALUES (26, 'markdown_above');
\endif
COMMIT;
