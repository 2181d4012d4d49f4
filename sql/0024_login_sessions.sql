-- People sign in at a provider, and a cookie names their session.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 24) AS wanted \gset
\if :wanted

-- `sha256` is of the cookie, which is nowhere else, and from which the key of `tokens` is derived:
-- the provider's tokens, encrypted. The provider is asked again from `due_at` on, by one server at
-- a time, until `leased_until`.
CREATE TABLE login_sessions (
    sha256       bytea PRIMARY KEY,
    provider     text NOT NULL,
    user_id      text NOT NULL,
    role         text NOT NULL,
    name         text NOT NULL,
    tokens       bytea NOT NULL,
    issued_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    leased_until timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX login_sessions_of_people ON login_sessions (user_id, issued_at);
CREATE INDEX login_sessions_by_end ON login_sessions (expires_at);

INSERT INTO schema_migrations (number, name) VALUES (24, 'login_sessions');
\endif
COMMIT;
