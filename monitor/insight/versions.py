"""Who is in a class, and which version of their counted rows a snapshot has.

What is counted of a student (cell_progress, cell_errors) changes in two ways only:

* a batch is stored, which writes the student's states, and counted later: from the one to the other
  it is in outbox_counts;
* the student is counted anew, or their rows are moved or withdrawn, which writes their states; a
  student whose clock was put right is in outbox_recounts until then.

So of a student who is in neither outbox, the rows are those of the last transaction that wrote
their states: `xmin`. CONTRIBUTING.md has this as a rule, and a test looks for what breaks it.

Versions are compared for equality only. xmin comes again after 2^32 transactions, and freezing
leaves it as it is. A database that went back in time may issue it again for another change, so the
last receipt is part of the version. All is read in the snapshot of the rows, so that it makes no
difference whether that is of a standby or of the primary.
"""

from datetime import datetime
from typing import NamedTuple

from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.insight.query import ClassIds


class Version(NamedTuple):
    """Of a person's rows, and whether they count as a student. `states` is None while uncounted."""

    is_student: bool
    states: str | None


class People(NamedTuple):
    """A class in a snapshot, which was taken at `now`.

    `students` has the user_id of each student, ordered by it, and `versions` those of students and
    staff; `months` says which months of executions there are.
    """

    students: dict[int, str]
    versions: dict[int, Version]
    months: str
    now: datetime


async def class_people(connection: Connection, class_ids: ClassIds) -> People:
    """Those on the roster of the first of these classes now. Raises NotFound."""
    rows = await connection.fetch(_SELECT_PEOPLE, class_ids[0])
    if not rows:
        raise NotFound(f"There is no class {class_ids[0]}")
    now, uncounted, months = await connection.fetchrow(_SELECT_SNAPSHOT)
    students, versions, waiting = {}, {}, frozenset(uncounted)
    for person, user_id, is_student, states in rows:
        if person is None:
            continue
        if is_student:
            students[person] = user_id
        versions[person] = Version(is_student, None if person in waiting else states)
    return People(students, versions, months, now)


# A class without people is one row of NULLs, an unknown class no row. All states of a person count:
# it does no harm if what they do in another class has their rows read again. Who has no state yet
# has no rows, except while those of a merged id are moved to theirs, which may take several steps.
_SELECT_PEOPLE = """
    SELECT s.id, s.user_id, m.role = 'student' AS is_student, COALESCE(v.states, CASE
        WHEN NOT EXISTS (SELECT FROM students AS old WHERE old.merged_into = s.id) THEN ''
    END) AS states
    FROM classes AS c
    LEFT JOIN student_classes AS m
        ON m.class_id = c.id AND m.role IN ('student', 'teacher', 'assistant')
    LEFT JOIN students AS s ON s.id = m.student_id
    LEFT JOIN LATERAL (
        SELECT string_agg(
            ROW(class_id, xmin, last_received_at)::text, ' ' ORDER BY class_id
        ) AS states
        FROM (
            SELECT class_id, xmin, last_received_at FROM student_states
            WHERE student_id = m.student_id OFFSET 0
        ) AS t
    ) AS v ON true
    WHERE c.id = $1 ORDER BY s.user_id
"""

_SELECT_SNAPSHOT = """
    SELECT now(), ARRAY(
        SELECT DISTINCT id FROM (
            SELECT unnest(student_ids) AS id FROM outbox_counts
            UNION ALL SELECT student_id FROM outbox_recounts
        ) AS waiting
    ), COALESCE((
        SELECT string_agg(inhrelid::text, ' ' ORDER BY inhrelid) FROM pg_inherits
        WHERE inhparent = 'cell_executions'::regclass
    ), '')
"""
