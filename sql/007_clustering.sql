-- Where executions lie. They are stored as they come, so that those of a student who is looked at
-- later are on as many pages as there are executions. Once a day (UTC) is over they are moved:
-- each student's lie together then, in the order of time, and a page of a time line is on few pages.
--
-- Moved means deleted and inserted again by one transaction, unchanged: no question waits for it, or
-- sees an execution twice or not at all. Only a retry of an event that is being moved waits until it
-- has been, and finds it. What the moved ones leave behind is taken by those of the next days.

-- How far that has come: one row.
CREATE TABLE IF NOT EXISTS clustered (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    day        timestamptz NOT NULL,  -- what was executed before has been moved
    student_id bigint NOT NULL        -- and what was on this day by students up to this one
) WITH (fillfactor = 10);
INSERT INTO clustered (day, student_id) VALUES (date_trunc('day', now(), 'UTC'), 0)
ON CONFLICT DO NOTHING;

-- Moves what `most` students executed on the next day that ended before `until`; false when there is
-- no such day, or somebody else is at it. What comes later for a day stays where it is stored.
CREATE OR REPLACE FUNCTION cluster_executions(until timestamptz, most integer) RETURNS boolean
LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    start    timestamptz;
    after    bigint;
    students bigint[];
BEGIN
    SELECT day, student_id INTO start, after FROM clustered
    WHERE day + interval '24 hours' <= until FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    students := ARRAY(SELECT id FROM students WHERE id > after ORDER BY id LIMIT most);
    WITH moved AS (
        DELETE FROM cell_executions
        WHERE student_id = ANY (students)
            AND executed_at >= start AND executed_at < start + interval '24 hours'
        RETURNING *
    )
    INSERT INTO cell_executions
    SELECT * FROM moved ORDER BY student_id, executed_at, event_id;
    IF cardinality(students) < most THEN
        UPDATE clustered SET day = start + interval '24 hours', student_id = 0;
    ELSE
        UPDATE clustered SET student_id = students[most];
    END IF;
    RETURN true;
END $$;
