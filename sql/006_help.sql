-- What became of calls for help. A call begins with a student's first `help` after a `help_stop`:
-- that stop's time names it, however its repetitions arrive. It has a row once a teacher acts.

CREATE TABLE IF NOT EXISTS help_requests (
    student_id  bigint NOT NULL REFERENCES students ON DELETE CASCADE,
    after_stop  timestamptz NOT NULL,  -- -infinity: there was none
    taken_by    text,
    taken_at    timestamptz,
    resolved_by text,
    resolved_at timestamptz,
    PRIMARY KEY (student_id, after_stop)
);
