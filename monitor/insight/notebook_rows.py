"""Puts the cells of a class's notebooks in place: SQL for the views of notebooks.

A cell is its id, if two people used it. Other ids may be random: JupyterLab gives a notebook of a
format before 4.5 new ones each time it is opened. In a notebook that three students use, these
cells are placed by their index, so that a class has one cell where thirty laptops have thirty.

Nothing of it is stored, so a better rule also corrects what was done before it. Joins of derived
rows are full joins, which the planner can only hash or merge: where its statistics are wrong, it
would choose a nested loop, quadratic in the number of cells. Nothing is added by them, as one side
has all keys of the other.
"""

MAX_CELLS_OF_STUDENT = 2_000  # in a notebook: of the newest path, then the newest cells
ADDED, INDEX, NAMED = 0, 1, 2  # kinds of places, in their order at one index

_ONE_MORE, _LOW = 2**31, 2**32 - 1  # than the greatest index; the bits below 2**32
_STEP = f"index::bigint << 32 | (target - index + {_ONE_MORE})"
_COLUMNS = """
    student_id, is_student, id, alias_id, executions, errors, first_error_at,
    last_error_at, first_success_at, errors_before_success, durations, type, index, name_hash,
    code_hash, code_at
"""


def placed(*, people: str, aliases: str, notebook: str | None = None) -> str:
    """SELECT: where the cells are that people used in notebooks, a row for each person and cell.

    `people` selects `id` and `is_student`; `aliases` is an array of bigint, SQL expressions. They
    are those of one notebook, unless `notebook` is the id of the notebook of `p.alias_id`.

    A row has student_id, is_student, id and alias_id (those of cell_progress), the counters, and
    the place as kind (ADDED, INDEX, NAMED), key and `at`, the index that most have; see PLACE_TEXT.
    With `notebook` it has that, too: places are those of a notebook.
    """
    by, of_notebook, columns, are_few = "", "", _COLUMNS, "NOT EXISTS (SELECT FROM many)"
    if notebook:
        by, of_notebook, columns = "notebook, ", "GROUP BY notebook", f"notebook, {_COLUMNS}"
        are_few = "notebook <> ALL (ARRAY(SELECT notebook FROM many))"
    return f"""
    WITH used AS MATERIALIZED (
        SELECT {f"{notebook} AS {by}" if notebook else ""}person.is_student, p.*
        FROM ({people}) AS person
        CROSS JOIN LATERAL (
            SELECT student_id, alias_id, cell_id AS id, executions, errors, first_error_at,
                last_error_at, first_success_at, errors_before_success, durations,
                type, position AS index, name_hash, code_hash, code_at, last_at
            FROM cell_progress
            WHERE student_id = person.id AND alias_id = ANY ({aliases})
            ORDER BY alias_id DESC, cell_id DESC LIMIT {MAX_CELLS_OF_STUDENT}
        ) AS p
    ), shared AS MATERIALIZED (
        -- Most notebooks without shared ids have no id twice, which sorting numbers tells sooner.
        SELECT {by}name_hash, true AS is_shared FROM used
        WHERE (SELECT count(DISTINCT name_hash) < count(*) FROM used)
        GROUP BY {by}name_hash HAVING min(student_id) <> max(student_id)
    ), code_votes AS MATERIALIZED (
        -- A number of votes and the index in one number: the greatest is that of most votes and, of
        -- these, of the greatest index, so that where two versions of a notebook are in use by as
        -- many, all homes are those of the one in which more stands above.
        SELECT {by}code_hash, index, count(*)::integer AS votes,
            CASE WHEN count(*) >= 3 AND min(student_id) <> max(student_id)
                THEN count(*) << 32 | index END AS ballot
        FROM used WHERE code_hash IS NOT NULL AND index IS NOT NULL
        GROUP BY {by}code_hash, index
    ), repeated AS MATERIALIZED (
        -- Of the codes that no majority has at one index: those that somebody has at two.
        SELECT code_hash FROM used WHERE index IS NOT NULL AND code_hash = ANY (ARRAY(
            SELECT code_hash FROM code_votes GROUP BY {by}code_hash
            HAVING 2 * (max(ballot) >> 32) <= sum(votes)
        ))
        GROUP BY {by}code_hash, student_id HAVING min(index) < max(index)
    ), codes AS MATERIALIZED (
        -- Where most who have a code have it or, if each has it once, more than at another index.
        SELECT {by}code_hash, max(ballot) & {_LOW} AS code_home, count(*) > 1 AS is_elsewhere
        FROM code_votes GROUP BY {by}code_hash
        HAVING 2 * (max(ballot) >> 32) > sum(votes) OR max(ballot) IS NOT NULL
            AND code_hash <> ALL (ARRAY(SELECT code_hash FROM repeated))
    ), many AS MATERIALIZED (
        SELECT {by.rstrip(", ") or "true"} FROM (
            SELECT DISTINCT {by}student_id FROM used WHERE is_student
        ) AS students {of_notebook} HAVING count(*) >= 3
    ), has AS MATERIALIZED (
        SELECT EXISTS (SELECT FROM shared) AS shared,
            EXISTS (SELECT FROM codes WHERE is_elsewhere)
                OR EXISTS (SELECT FROM used WHERE index IS NULL) AS others
    ), special AS MATERIALIZED (
        -- Where no id is shared: who has a code elsewhere, or no index. All others are in place.
        SELECT DISTINCT student_id FROM (
            SELECT student_id, index, code_home
            FROM used FULL JOIN codes USING ({by}code_hash)
            WHERE (SELECT others AND NOT shared FROM has) OFFSET 0
        ) AS cells
        WHERE index IS NULL OR code_home <> index
    ), known AS MATERIALIZED (
        SELECT used.*, COALESCE(shared.is_shared, false) AS is_shared
        FROM (
            SELECT * FROM used WHERE (SELECT shared FROM has)
                OR student_id IN (SELECT student_id FROM special) OFFSET 0
        ) AS used FULL JOIN shared USING ({by}name_hash)
    ), shared_homes AS MATERIALIZED (
        SELECT {by}name_hash, {_ONE_MORE} - (max(ballot) & {_LOW}) AS home,
            max(ballot) AS ballot
        FROM (
            SELECT {by}name_hash, count(*) << 32 | ({_ONE_MORE} - index) AS ballot
            FROM known WHERE is_shared AND index IS NOT NULL GROUP BY {by}name_hash, index
        ) AS votes
        GROUP BY {by}name_hash
    ), homes AS MATERIALIZED (
        SELECT * FROM (
            SELECT known.*, home, code_home
            FROM known FULL JOIN shared_homes USING ({by}name_hash)
            FULL JOIN codes USING ({by}code_hash) OFFSET 0
        ) AS cells
        WHERE id IS NOT NULL  -- not a code of others
    ), movers AS MATERIALIZED (
        SELECT student_id FROM homes GROUP BY student_id
        HAVING bool_or(NOT is_shared) AND (bool_or(is_shared) OR bool_or(code_home <> index))
    ), moved AS (
        -- The newest cell at an index is 1; those of an earlier opening follow.
        SELECT *, row_number() OVER (
            PARTITION BY {by}student_id, index ORDER BY last_at DESC NULLS LAST, id DESC
        ) AS opening
        FROM homes WHERE student_id = ANY (ARRAY(SELECT student_id FROM movers))
    ), recognised AS (
        -- By the id or, unless the student has it twice, by the code.
        SELECT *, CASE WHEN is_shared THEN home WHEN index IS NULL OR index = code_home
                OR count(*) OVER (PARTITION BY {by}student_id, opening, code_hash) = 1
            THEN code_home END AS target
        FROM moved
    ), followed AS (
        -- Others have moved as far as the last one above them that is recognised or, without one,
        -- the first one below.
        SELECT *, target IS NOT NULL AS is_recognised, COALESCE(
                target, CASE WHEN index IS NOT NULL THEN GREATEST(0, index - {_ONE_MORE} + (
                    COALESCE(max({_STEP}) OVER above, min({_STEP}) OVER all_of_it, {_ONE_MORE})
                    & {_LOW}
                )) END
            ) AS at
        FROM recognised WINDOW
            all_of_it AS (PARTITION BY {by}student_id, opening),
            above AS (all_of_it ORDER BY index)
    ), put AS (
        SELECT {columns}, is_shared, false AS is_added,
            CASE WHEN is_shared THEN home ELSE COALESCE(index, code_home) END AS at
        FROM homes WHERE student_id NOT IN (SELECT student_id FROM movers)
        UNION ALL
        -- Added is one that is not recognised, where the student has another one that is: under an
        -- id of many or, of the same opening, with their code.
        SELECT {columns}, is_shared,
            NOT is_recognised AND (bool_or(is_shared) OVER here OR COALESCE(
                bit_or(1::bigint << LEAST(opening, 62)::integer) FILTER (WHERE is_recognised)
                    OVER here >> LEAST(opening, 62)::integer & 1 = 1, false
            )), at
        FROM followed WINDOW here AS (PARTITION BY {by}student_id, at)
    ), at_index AS MATERIALIZED (
        SELECT DISTINCT ON ({by}home) {by}home AS at, name_hash AS shared_name
        FROM shared_homes ORDER BY {by}home, ballot DESC, name_hash
    ), kinds AS (
        SELECT put.*, shared_name, CASE
            WHEN is_shared OR at IS NULL OR {are_few}
            THEN {NAMED} WHEN is_added THEN {ADDED} ELSE {INDEX} END AS kind
        FROM put FULL JOIN at_index USING ({by}at)
    )
    -- Most rows of a notebook without shared ids: they go through none of the steps above.
    SELECT {columns}, index AS at,
        CASE WHEN {are_few} THEN {NAMED} ELSE {INDEX} END AS kind,
        CASE WHEN {are_few} THEN name_hash ELSE index END AS key
    FROM used WHERE NOT (SELECT shared FROM has)
        AND student_id NOT IN (SELECT student_id FROM special)
    UNION ALL
    SELECT {columns},
        CASE WHEN kind = {NAMED} AND NOT is_shared THEN index ELSE at END,
        CASE WHEN kind = {INDEX} AND shared_name IS NOT NULL THEN {NAMED} ELSE kind END,
        CASE kind WHEN {NAMED} THEN name_hash WHEN {INDEX} THEN COALESCE(shared_name, at)
            ELSE at END
    FROM kinds
    """  # noqa: S608 - constants


# The cells of a notebook that the people of a class used. `$1` are the students' ids, `$2` the
# notebook's aliases, `$3` is the class, whose staff are the other people.
PLACED = placed(
    people="""
        SELECT id, true AS is_student FROM unnest($1::bigint[]) AS id
        UNION ALL
        SELECT student_id, false FROM student_classes
        WHERE class_id = $3::bigint AND role IN ('teacher', 'assistant')
    """,
    aliases="$2::bigint[]",
)


def by_student(rows: str) -> str:
    """SELECT: one row for each person and place of these rows of `placed`, of one notebook.

    Where somebody has several cells at a place, and errors in one are mixed with the first success
    in another, those before that cell's own success are taken. `named` is a cell with the place's
    name. `rows` is the name of a CTE.
    """
    return f"""
        WITH repeated AS MATERIALIZED (
            -- Who perhaps has: a bit for each index says who has not.
            SELECT student_id FROM {rows} GROUP BY student_id, at / 63
            HAVING count(*) > bit_count(bit_or(1::bigint << (at % 63)::integer)::bit(64))
                OR count(at) < count(*)
        )
        SELECT student_id, kind, key, is_student, at,
            CASE WHEN name_hash = key THEN id END AS named, type, executions,
            errors, first_success_at, errors_before_success, durations
        FROM {rows} WHERE student_id NOT IN (SELECT student_id FROM repeated)
        UNION ALL
        SELECT student_id, kind, key, bool_or(is_student), min(at),
            min(id) FILTER (WHERE name_hash = key), max(type),
            sum(executions)::bigint, sum(errors)::bigint, min(first_success_at),
            sum(COALESCE(errors_before(success_at, errors, first_error_at, last_error_at,
                first_success_at, errors_before_success), errors_before_success))::bigint,
            sum(durations)
        FROM (
            SELECT *, min(first_success_at) OVER (PARTITION BY student_id, kind, key) AS success_at
            FROM {rows} WHERE student_id IN (SELECT student_id FROM repeated)
        ) AS rows
        GROUP BY student_id, kind, key
    """  # noqa: S608 - constants


MAX_CELLS = 1_000  # in one answer
# Those that an answer has, of rows of `by_student` grouped by kind and key.
MOST_REACHED = "count(*) FILTER (WHERE is_student) DESC, min(at), kind, key"


# The place in words, of a row `c` with kind and key; `name` is the cell's id.
PLACE_TEXT = f"""
    CASE c.kind WHEN {NAMED} THEN 'id:' || name WHEN {ADDED} THEN 'added:' || key
        ELSE 'index:' || key END
"""
