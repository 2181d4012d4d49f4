"""The rosters of a lesson's classes."""

from tests.chaos.lesson import STUDENTS, classes_of
from tests.chaos.site import Site


async def enrol(site: Site, prefix: str) -> None:
    """Puts the lesson's students on the rosters of its classes."""
    lines = [
        (f"{prefix}-{number}", class_code)
        for number in range(STUDENTS)
        for class_code in classes_of(prefix, number)
    ]
    connection = await site.connect()
    try:
        await connection.execute(_ENROL, *map(list, zip(*lines, strict=True)))
    finally:
        await connection.close()


_ENROL = """
    WITH lines AS (
        SELECT * FROM unnest($1::text[], $2::text[]) AS line (user_id, class_code)
    ), new_classes AS (
        INSERT INTO classes (class_code, name) SELECT DISTINCT class_code, class_code FROM lines
        RETURNING id, class_code
    ), new_students AS (
        INSERT INTO students (user_id) SELECT DISTINCT user_id FROM lines RETURNING id, user_id
    )
    INSERT INTO student_classes (student_id, class_id)
    SELECT new_students.id, new_classes.id
    FROM lines JOIN new_classes USING (class_code) JOIN new_students USING (user_id)
"""
