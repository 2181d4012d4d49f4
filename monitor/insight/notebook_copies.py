"""What counts for a notebook in a class, and why; and what else might."""

from datetime import datetime
from typing import Literal

import msgspec

from monitor.database.pool import Connection
from monitor.insight.query import ClassIds, class_notebook, class_students

_MAX_PATHS = 20  # of a notebook
_MAX_OTHERS = 50
_LOOKED_AT = 200  # other notebooks of the class


class NotebookCopy(msgspec.Struct, kw_only=True):
    """A notebook that counts for another one.

    `reason` is `cells` if its name is a copy's and half of its cells or more are the other's,
    `name` if the name alone decided, because the cells' ids are random, and `merged` if a teacher
    said so. Of its `cells` (at most 200) `known` are cells of the other one; both are null where
    nothing was compared. `paths` are other forms of the path as events said it. `students` are
    those of the class who used its cells, as user_ids.
    """

    notebook_id: int
    notebook_path: str
    paths: list[str]
    reason: Literal["cells", "name", "merged"]
    cells: int | None
    known: int | None
    students: list[str]
    decided_by: str | None
    decided_at: datetime | None


class OtherNotebook(msgspec.Struct, kw_only=True):
    """A notebook of the class that counts for itself. `is_apart` if a teacher keeps it apart.

    Of the first 20 of its `cells`, `known` have the id of a cell of the notebook in question.
    """

    notebook_id: int
    notebook_path: str
    is_apart: bool
    cells: int
    known: int
    students: list[str]
    decided_by: str | None
    decided_at: datetime | None


class NotebookCopies(msgspec.Struct, kw_only=True):
    """A notebook in a class, and what counts for it there; `paths` as for a copy.

    `others` are up to 50 notebooks that were not handed out and that students used or a teacher
    keeps apart, likely copies first. `is_handed_out` is true if it is an assignment's: others have
    no copies.
    """

    class_id: int
    notebook_id: int
    notebook_path: str
    is_handed_out: bool
    paths: list[str]
    copies: list[NotebookCopy]
    others: list[OtherNotebook]


async def notebook_copies(
    connection: Connection, class_ids: ClassIds, notebook_id: int
) -> NotebookCopies:
    """Of the notebook, or of the one that it counts for. Raises NotFound."""
    students = await class_students(connection, class_ids)
    notebook = await class_notebook(connection, class_ids, notebook_id)
    row = await connection.fetchrow(_SELECT_NOTEBOOK, class_ids, notebook.id, _MAX_PATHS)
    copies = await connection.fetch(_SELECT_COPIES, class_ids, notebook.id, _MAX_PATHS)
    others = await connection.fetch(
        _SELECT_OTHERS, class_ids, notebook.id, notebook.alias_ids, _LOOKED_AT
    )
    listed = [each["notebook_id"] for each in (*copies, *others)]
    users = {
        each["notebook_id"]: sorted(students[student_id] for student_id in each["students"])
        for each in await connection.fetch(_SELECT_STUDENTS, list(students), listed)
    }
    return NotebookCopies(
        class_id=class_ids[0],
        notebook_id=notebook.id,
        notebook_path=notebook.path,
        **row,
        copies=[
            NotebookCopy(**each, students=users.get(each["notebook_id"], [])) for each in copies
        ],
        others=[
            OtherNotebook(**each, students=users.get(each["notebook_id"], []))
            for each in others
            if each["is_apart"] or each["notebook_id"] in users
        ][:_MAX_OTHERS],
    )


_SELECT_NOTEBOOK = """
    SELECT EXISTS (
        SELECT FROM class_assignments WHERE class_id = ($1::bigint[])[1] AND notebook_id = n.id
    ) AS is_handed_out, ARRAY(
        SELECT DISTINCT a.path FROM notebooks AS twin
        JOIN notebook_aliases AS a ON a.notebook_id = twin.id
        WHERE twin.class_id = ANY ($1) AND twin.path = n.path AND a.path <> n.path
        ORDER BY a.path LIMIT $3
    ) AS paths
    FROM notebooks AS n WHERE n.id = $2
"""

# Of these students those who used cells of these notebooks. It goes from one alias of a student
# to the next, by the key of the counters.
_SELECT_STUDENTS = """
    WITH RECURSIVE used AS (
        SELECT s.id, (SELECT min(alias_id) FROM cell_progress WHERE student_id = s.id) AS alias_id
        FROM unnest($1::bigint[]) AS s (id)
        UNION ALL
        SELECT u.id, (
            SELECT min(alias_id) FROM cell_progress
            WHERE student_id = u.id AND alias_id > u.alias_id
        )
        FROM used AS u WHERE u.alias_id IS NOT NULL
    )
    SELECT a.notebook_id, array_agg(DISTINCT u.id) AS students
    FROM used AS u CROSS JOIN LATERAL (
        SELECT notebook_id FROM notebook_aliases WHERE id = u.alias_id OFFSET 0
    ) AS a
    WHERE a.notebook_id = ANY ($2::bigint[])
    GROUP BY a.notebook_id
"""

# What only has the same path as the notebook, in another class that is shown, is no copy.
_SELECT_COPIES = """
    SELECT n.id AS notebook_id, n.path AS notebook_path, ARRAY(
            SELECT a.path FROM notebook_aliases AS a
            WHERE a.notebook_id = n.id AND a.path <> n.path ORDER BY a.path LIMIT $3
        ) AS paths,
        copy.reason, copy.cells, copy.known, d.decided_by, d.decided_at
    FROM notebook_copies($1::bigint[], notebooks_counting_for($1, $2)) AS copy
    CROSS JOIN LATERAL (SELECT * FROM notebooks WHERE id = copy.notebook_id OFFSET 0) AS n
    LEFT JOIN notebook_decisions AS d ON d.class_id = ($1)[1] AND d.notebook_id = n.id
    WHERE copy.counts_for = $2 AND copy.reason <> 'path'
    ORDER BY n.path
"""

# Looked at are those that have the notebook's name first, then the latest.
_SELECT_OTHERS = """
    WITH looked_at AS MATERIALIZED (
        SELECT n.id, n.path
        FROM notebooks AS n JOIN notebooks AS original ON original.id = $2
        WHERE n.class_id = ANY ($1::bigint[]) AND n.path <> original.path
            AND NOT EXISTS (
                SELECT FROM class_assignments WHERE class_id = ($1)[1] AND notebook_id = n.id
            )
        ORDER BY n.stem = original.stem DESC, n.id DESC LIMIT $4
    ), copies AS MATERIALIZED (
        SELECT * FROM notebook_copies($1, ARRAY(SELECT id FROM looked_at))
    )
    SELECT n.id AS notebook_id, n.path AS notebook_path, d.notebook_id IS NOT NULL AS is_apart,
        sample.cells, sample.known, d.decided_by, d.decided_at
    FROM looked_at AS n
    LEFT JOIN LATERAL (
        SELECT * FROM notebook_decisions
        WHERE class_id = ($1)[1] AND notebook_id = n.id AND counts_for IS NULL OFFSET 0
    ) AS d ON true
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS cells, count(*) FILTER (
            WHERE EXISTS (
                SELECT FROM cells AS c
                WHERE c.alias_id = ANY ($3::bigint[]) AND c.cell_id = seen.cell_id
            )
        )::integer AS known
        FROM (
            SELECT c.cell_id FROM notebook_aliases AS a CROSS JOIN LATERAL (
                SELECT cell_id FROM cells WHERE alias_id = a.id OFFSET 0
            ) AS c
            WHERE a.notebook_id = n.id LIMIT 20
        ) AS seen
    ) AS sample
    WHERE n.id NOT IN (SELECT notebook_id FROM copies)
    ORDER BY sample.known DESC, is_apart DESC, n.path
"""
