"""A lesson: 200 students at a notebook of 60 cells whose ids are each student's own."""

import asyncpg

CELLS = 60
WHAT = "a class of 200 at a notebook of 60 cells without ids"


async def fill_lesson(connection: asyncpg.Connection, students: int) -> None:
    """Fills a database that has the schema and nothing else; class and notebook have the id 1.

    Each student has run each cell twice and failed in a third of them. Code is the student's own in
    every third cell, and every tenth student has added a cell at the top.
    """
    async with connection.transaction():
        await connection.execute(_INSERT_CLASS, students)
        await connection.execute(_INSERT_RUNS, students, CELLS)
        await connection.execute(_MARK)
    while await connection.fetchval("SELECT count_batches(50)", timeout=600):
        pass
    await connection.execute("VACUUM (ANALYZE)")


_INSERT_CLASS = """
    WITH class AS (
        INSERT INTO classes (class_code, name, has_events) VALUES ('lesson', 'Lesson', true)
        RETURNING id
    ), students AS (
        INSERT INTO students (user_id, has_events)
        SELECT 'student ' || n, true FROM generate_series(1, $1::integer) AS n RETURNING id
    ), notebook AS (
        INSERT INTO notebooks (class_id, path, name, has_events)
        SELECT id, 'lesson.ipynb', 'lesson.ipynb', true FROM class RETURNING id, class_id, path
    ), alias AS (
        INSERT INTO notebook_aliases (class_id, path, notebook_id)
        SELECT class_id, path, id FROM notebook
    )
    INSERT INTO student_classes (student_id, class_id) SELECT students.id, class.id
    FROM students, class
"""

_INSERT_RUNS = """
    WITH ran AS (
        SELECT student, cell, cell + (student % 10 = 0)::integer AS index,
            md5(student || ' ' || cell) AS name
        FROM generate_series(1, $1::integer) AS student, generate_series(0, $2 - 1) AS cell
    ), named AS (
        INSERT INTO cells (alias_id, cell_id, type, position)
        SELECT 1, name, 'code', index FROM ran ORDER BY student, cell RETURNING id, cell_id
    )
    INSERT INTO cell_executions (
        student_id, executed_at, event_id, received_at, event_type, alias_id, cell_id, cell_index,
        cell_type, status, duration_ms, code, error, metadata, class_id)
    SELECT student, at, gen_random_uuid(), at, 'cell_executed', 1, named.id, index, 'code',
        CASE WHEN failed THEN 'error' ELSE 'success' END, 5 + cell,
        CASE cell % 3 WHEN 0 THEN 'own = ' || name ELSE 'x = ' || cell END,
        CASE WHEN failed THEN 'KeyError: ' || cell END, '{}', 1
    FROM ran JOIN named ON cell_id = name
    CROSS JOIN generate_series(1, 2) AS attempt
    CROSS JOIN LATERAL (
        SELECT now() - interval '1 hour' + make_interval(secs => 60 * cell + 20 * attempt) AS at,
            attempt = 1 AND (student + cell) % 3 = 0 AS failed
    ) AS run
"""

_MARK = """
    INSERT INTO outbox_counts (received_at, student_ids, first_times, last_times)
    SELECT min(first_at), array_agg(student_id), array_agg(first_at), array_agg(last_at) FROM (
        SELECT student_id, min(executed_at) AS first_at, max(executed_at) AS last_at
        FROM cell_executions GROUP BY student_id
    ) AS spans
"""
