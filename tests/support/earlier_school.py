"""A school in the schema of before classes were kept (migration 2), and its totals, by either."""

from typing import Any

import asyncpg

from tests.support.postgres import Address, fetch

CLASSES = 20
LESSONS = 25
RUNS = 20  # executions of a student in a lesson: two in each of ten cells


async def fill_earlier_school(address: Address, students: int) -> None:
    """Students of CLASSES classes, each with LESSONS * RUNS executions, all counted.

    Every twentieth attends two classes. A third of the notebooks have the same path in all classes;
    of ten cells two have ids of the student's own, as notebooks of old formats have. There are also
    calls for help, starts, sessions and notebooks opened, hand-ins with grades, keys.
    """
    connection = await asyncpg.connect(**address, command_timeout=3600)
    try:
        await connection.execute(f"SELECT setseed(0.5); {_ROSTERS}")
        await connection.execute(_PEOPLE, students, CLASSES)
        await connection.execute(_USED, LESSONS)
        await connection.execute(_NAMES)
        await connection.execute(_HAND_INS)
        for number in range(1, CLASSES + 1):
            async with connection.transaction():
                await connection.execute(_EXECUTIONS, number, RUNS)
                await connection.execute(_EVENTS, number)
                await connection.execute(_ACCESSES, number)
                await connection.execute(_TO_COUNT, number)
            await connection.fetchval("SELECT count_batches(1)")
        await connection.execute(_STATES)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


async def totals(address: Address) -> dict[str, list[dict[str, Any]]]:
    """What teachers see as numbers, by student, class, cell, error and hour; before or after."""
    (row,) = await fetch(address, "SELECT to_regclass('student_states') IS NULL AS is_earlier")
    queries = _BEFORE if row["is_earlier"] else _AFTER
    return {name: await fetch(address, query) for name, query in queries.items()}


_ROSTERS = """
    CREATE TEMPORARY TABLE used (
        student_id bigint, class_id bigint, lesson integer, path text, at timestamptz
    );
"""

# Student n attends class n % classes + 1, and every twentieth also the next one.
_PEOPLE = """
    WITH class AS (
        INSERT INTO classes (class_code, name)
        SELECT 'class ' || n, 'Class ' || n FROM generate_series(1, $2::integer) AS n ORDER BY n
        RETURNING id
    ), person AS (
        INSERT INTO students (user_id, name, team, has_events, name_at)
        SELECT 'student ' || n, '生徒 ' || n, 'チーム' || n % 9, true, '2026-01-01'
        FROM generate_series(1, $1::integer) AS n ORDER BY n RETURNING id
    ), teacher AS (
        INSERT INTO students (id, user_id, name)
        SELECT 1000000 + id, 'teacher ' || id, '先生 ' || id FROM class RETURNING id
    )
    INSERT INTO student_classes (student_id, class_id, role)
    SELECT person.id, person.id % $2 + 1, 'student' FROM person
    UNION ALL
    SELECT person.id, (person.id + 1) % $2 + 1, 'student' FROM person WHERE person.id / $2 % 20 = 0
    UNION ALL
    SELECT teacher.id, teacher.id - 1000000, 'teacher' FROM teacher
"""

# Who attends two classes works in notebooks whose path only one of them has.
_USED = """
    INSERT INTO used
    SELECT m.student_id, m.class_id, lesson,
        CASE WHEN lesson % 3 = 0 AND m.classes = 1 THEN 'week ' || lesson || '.ipynb'
             ELSE 'class ' || m.class_id || '/lesson ' || lesson || '.ipynb' END,
        date_trunc('day', now(), 'UTC') - make_interval(days => 2 * lesson + 1)
            + make_interval(hours => 1 + (m.class_id % 6)::integer, secs => random() * 300)
    FROM (
        SELECT student_id, min(class_id) AS first, max(class_id) AS last, count(*) AS classes
        FROM student_classes WHERE role = 'student' GROUP BY student_id
    ) AS s
    CROSS JOIN generate_series(0, $1 - 1) AS lesson
    CROSS JOIN LATERAL (
        SELECT s.student_id, CASE WHEN lesson % 2 = 0 THEN s.first ELSE s.last END AS class_id,
            s.classes
    ) AS m
"""

_NAMES = """
    INSERT INTO notebooks (path, name, has_events)
    SELECT path, regexp_replace(path, '^.*/', ''), true FROM used GROUP BY path ORDER BY path;
    INSERT INTO class_assignments (class_id, notebook_id, title, due_date)
    SELECT class_id, n.id, n.name, max(at) + interval '2 days'
    FROM used JOIN notebooks AS n USING (path) GROUP BY class_id, n.id, n.name;
    INSERT INTO sessions (student_id, session_id, start_time, end_time)
    SELECT student_id, 'session ' || lesson, at, at + interval '90 minutes' FROM used;
    INSERT INTO cells (notebook_id, cell_id, type, position)
    SELECT n.id, 'cell ' || k, 'code', k FROM notebooks AS n, generate_series(0, 7) AS k
    UNION ALL
    SELECT n.id, md5(student_id || path || k), 'code', k
    FROM used JOIN notebooks AS n USING (path), generate_series(8, 9) AS k;
    INSERT INTO ingest_keys (class_id, name, sha256, created_by)
    SELECT id, 'JupyterLab', decode(md5(name), 'hex'), 'root' FROM classes;
    SELECT ensure_partitions((SELECT min(at) FROM used), now());
"""

_HAND_INS = """
    INSERT INTO assignment_submissions (
        assignment_id, student_id, attempt, notebook_content, status, grade, feedback,
        submitted_at, late)
    SELECT a.id, used.student_id, 1, '{"cells": [], "nbformat": 4, "nbformat_minor": 5}', 'graded',
        60 + used.student_id % 41, 'よくできました', at + interval '1 day', false
    FROM used JOIN notebooks AS n USING (path)
    JOIN class_assignments AS a ON a.class_id = used.class_id AND a.notebook_id = n.id
    WHERE lesson % 5 = 0
"""

_EXECUTIONS = """
    INSERT INTO cell_executions (
        student_id, executed_at, event_id, received_at, event_type, session_id, notebook_id,
        cell_id, cell_type, execution_count, status, duration_ms, code, output, error, metadata)
    SELECT used.student_id, run.at, gen_random_uuid(), run.at + interval '0.2 s',
        CASE WHEN failed THEN 'cell_error' ELSE 'cell_executed' END, s.id, n.id, c.id, 'code',
        i + 1,
        CASE WHEN failed THEN 'error' ELSE 'success' END, 2 + (used.student_id * i) % 4000,
        repeat('value_' || k || ' = compute(' || i || ')' || chr(10), 3),
        CASE WHEN NOT failed THEN repeat('x', 40) END,
        CASE WHEN failed THEN (ARRAY['NameError: name ''value'' is not defined',
            'KeyError: ''b''', 'ZeroDivisionError: division by zero'])[1 + k % 3] END, '{}'
    FROM used JOIN notebooks AS n USING (path)
    JOIN sessions AS s ON s.student_id = used.student_id AND s.session_id = 'session ' || lesson
    CROSS JOIN generate_series(0, $2 - 1) AS i
    CROSS JOIN LATERAL (
        SELECT i / 2 AS k, used.at + make_interval(secs => 10 + 90 * i) AS at,
            (used.student_id + lesson + i) % 7 < 2 AND (i % 2 = 0 OR used.student_id % 10 = 0)
            AS failed
    ) AS run
    JOIN cells AS c ON c.notebook_id = n.id
        AND c.cell_id = CASE WHEN k < 8 THEN 'cell ' || k ELSE md5(used.student_id || path || k) END
    WHERE used.class_id = $1
    ORDER BY run.at
"""

# In each lesson the session's start and the starts of three cells; sometimes a call for help.
_EVENTS = """
    INSERT INTO events (
        student_id, event_time, event_id, received_at, event_type, session_id, notebook_id,
        cell_id, cell_type, metadata)
    SELECT used.student_id, kind.at, gen_random_uuid(), kind.at + interval '0.2 s', kind.name, s.id,
        n.id, c.id, 'code', '{}'
    FROM used JOIN notebooks AS n USING (path)
    JOIN sessions AS s ON s.student_id = used.student_id AND s.session_id = 'session ' || lesson
    JOIN cells AS c ON c.notebook_id = n.id AND c.cell_id = 'cell 3'
    CROSS JOIN LATERAL (
        SELECT 'session_start' AS name, used.at
        UNION ALL SELECT 'cell_execution_start', used.at + make_interval(secs => 200 * k)
        FROM generate_series(1, 3) AS k
        UNION ALL SELECT 'help', used.at + make_interval(secs => 700 + 10 * k)
        FROM generate_series(0, 5) AS k WHERE (used.student_id + lesson) % 8 = 0
        UNION ALL SELECT 'help_stop', used.at + make_interval(secs => 760)
        WHERE (used.student_id + lesson) % 8 = 0
    ) AS kind
    WHERE used.class_id = $1
"""

_ACCESSES = """
    INSERT INTO notebook_accesses (
        student_id, accessed_at, event_id, received_at, event_type, session_id, notebook_id, action,
        metadata)
    SELECT used.student_id, used.at + gap, gen_random_uuid(), used.at + gap, 'notebook_' || action,
        s.id, n.id, action, '{}'
    FROM used JOIN notebooks AS n USING (path)
    JOIN sessions AS s ON s.student_id = used.student_id AND s.session_id = 'session ' || lesson
    CROSS JOIN (VALUES ('open', interval '5 s'), ('save', interval '20 min')) AS a (action, gap)
    WHERE used.class_id = $1
"""

_TO_COUNT = """
    INSERT INTO outbox_counts (received_at, student_ids, first_times, last_times)
    SELECT min(first_at), array_agg(student_id), array_agg(first_at), array_agg(last_at) FROM (
        SELECT student_id, min(at) AS first_at, max(at) + interval '2 hours' AS last_at
        FROM used WHERE class_id = $1 GROUP BY student_id
    ) AS spans
"""

_STATES = """
    UPDATE students AS s SET executions = n.executions, errors = n.errors,
        last_event_at = n.at, last_received_at = n.at, clock_skew = '0.2 s'
    FROM (
        SELECT student_id, count(*) AS executions,
            count(*) FILTER (WHERE status = 'error') AS errors, max(executed_at) AS at
        FROM cell_executions GROUP BY student_id
    ) AS n WHERE n.student_id = s.id;
    UPDATE students AS s SET help_at = n.help_at, help_stop_at = n.stop_at
    FROM (
        SELECT student_id, max(event_time) FILTER (WHERE event_type = 'help') AS help_at,
            max(event_time) FILTER (WHERE event_type = 'help_stop') AS stop_at
        FROM events GROUP BY student_id
    ) AS n WHERE n.student_id = s.id
"""

# A notebook's class: that of its path, else its student's only one.
_CLASS_BEFORE = """
    COALESCE(substring(n.path FROM '^class (\\d+)/')::bigint, (
        SELECT min(m.class_id) FROM student_classes AS m
        WHERE m.student_id = p.student_id AND m.role = 'student'))
"""

_BEFORE = {
    "students": """
        SELECT id AS student_id, executions, errors, help_at, help_stop_at FROM students
        WHERE has_events ORDER BY id
    """,
    "classes": f"""
        SELECT {_CLASS_BEFORE} AS class_id, sum(p.executions)::bigint AS executions,
            sum(p.errors)::bigint AS errors, count(DISTINCT p.student_id) AS students
        FROM cell_progress AS p JOIN notebooks AS n ON n.id = p.notebook_id GROUP BY 1 ORDER BY 1
    """,
    "cells": f"""
        SELECT {_CLASS_BEFORE} AS class_id, n.path, c.cell_id COLLATE "C" AS cell, c.position,
            sum(p.executions)::bigint AS executions, sum(p.errors)::bigint AS errors,
            sum(p.errors_before_success)::bigint AS attempts, sum(p.durations) AS durations,
            min(p.first_error_at) AS first_error_at, max(p.last_error_at) AS last_error_at,
            min(p.first_success_at) AS first_success_at, count(*) AS students
        FROM cell_progress AS p JOIN notebooks AS n ON n.id = p.notebook_id
        JOIN cells AS c ON c.id = p.cell_id GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3
    """,
    "errors": f"""
        SELECT {_CLASS_BEFORE} AS class_id, n.path, p.error, sum(p.count)::bigint AS count,
            count(DISTINCT p.student_id) AS students, max(p.last_at) AS last_at
        FROM cell_errors AS p JOIN notebooks AS n ON n.id = p.notebook_id
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """,
    "activity": """
        SELECT student_id, step, start, sum(executions) AS executions, sum(errors) AS errors,
            sum(helps) AS helps
        FROM student_activity GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """,
    "grades": """
        SELECT a.class_id, a.title, count(*) AS count, sum(grade) AS points
        FROM assignment_submissions AS s JOIN class_assignments AS a ON a.id = s.assignment_id
        GROUP BY 1, 2 ORDER BY 1, 2
    """,
}

_AFTER = _BEFORE | {
    "students": """
        SELECT student_id, sum(executions)::bigint AS executions, sum(errors)::bigint AS errors,
            max(help_at) AS help_at, max(help_stop_at) AS help_stop_at
        FROM student_states GROUP BY 1 ORDER BY 1
    """,
    "classes": """
        SELECT class_id, sum(executions)::bigint AS executions, sum(errors)::bigint AS errors,
            count(*) AS students
        FROM student_states GROUP BY 1 ORDER BY 1
    """,
    "cells": """
        SELECT a.class_id, n.path, c.cell_id COLLATE "C" AS cell, p.position,
            sum(p.executions)::bigint AS executions, sum(p.errors)::bigint AS errors,
            sum(p.errors_before_success)::bigint AS attempts, sum(p.durations) AS durations,
            min(p.first_error_at) AS first_error_at, max(p.last_error_at) AS last_error_at,
            min(p.first_success_at) AS first_success_at, count(*) AS students
        FROM cell_progress AS p JOIN notebook_aliases AS a ON a.id = p.alias_id
        JOIN notebooks AS n ON n.id = a.notebook_id
        JOIN cells AS c ON c.id = p.cell_id GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3
    """,
    "errors": """
        SELECT a.class_id, n.path, p.error, sum(p.count)::bigint AS count,
            count(DISTINCT p.student_id) AS students, max(p.last_at) AS last_at
        FROM cell_errors AS p JOIN notebook_aliases AS a ON a.id = p.alias_id
        JOIN notebooks AS n ON n.id = a.notebook_id
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """,
}
