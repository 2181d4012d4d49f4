-- What a class calls its learners in Japanese: 学生 at universities, 生徒 at schools.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 27) AS wanted \gset
\if :wanted

ALTER TABLE classes
    ADD COLUMN learner_word text NOT NULL DEFAULT 'student'
        CHECK (learner_word IN ('student', 'pupil'));

INSERT INTO schema_migrations (number, name) VALUES (27, 'learner_word');
\endif
COMMIT;
