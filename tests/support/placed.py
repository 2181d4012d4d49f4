"""What `monitor.insight.votes` and `placing` do, said once more in SQL, to compare them with it."""

from monitor.insight.notebook_rows import ADDED, INDEX, MAX_CELLS_OF_STUDENT, NAMED

_ONE_MORE, _LOW = 2**31, 2**32 - 1  # than the greatest index; the bits below 2**32
_STEP = f"index::bigint << 32 | (target - index + {_ONE_MORE})"
_COLUMNS = """
    student_id, is_student, id, alias_id, executions, errors, first_error_at,
    last_error_at, first_success_at, errors_before_success, durations, type, index, name_hash,
    code_hash, code_at
"""


# Where the cells are that the people of a class used in a notebook, a row for each person and cell:
# the place is kind (ADDED, INDEX, NAMED), key and `at`, the index that most have. `$1` are the
# students' ids, `$2` the notebook's aliases, `$3` is the class, whose staff are the other people.
_PEOPLE = """
    SELECT id, true AS is_student FROM unnest($1::bigint[]) AS id
    UNION ALL
    SELECT student_id, false FROM student_classes
    WHERE class_id = $3::bigint AND role IN ('teacher', 'assistant')
"""
_ARE_FEW = "NOT EXISTS (SELECT FROM many)"
PLACED = f"""
    WITH used AS MATERIALIZED (
        SELECT person.is_student, p.*
        FROM ({_PEOPLE}) AS person
        CROSS JOIN LATERAL (
            SELECT student_id, alias_id, cell_id AS id, executions, errors, first_error_at,
                last_error_at, first_success_at, errors_before_success, durations,
                type, position AS index, name_hash, code_hash, code_at, last_at
            FROM cell_progress
            WHERE student_id = person.id AND alias_id = ANY ($2::bigint[])
            ORDER BY alias_id DESC, cell_id DESC LIMIT {MAX_CELLS_OF_STUDENT}
        ) AS p
    ), shared AS MATERIALIZED (
        -- Most notebooks without shared ids have no id twice, which sorting numbers tells sooner.
        SELECT name_hash, true AS is_shared FROM used
        WHERE (SELECT count(DISTINCT name_hash) < count(*) FROM used)
        GROUP BY name_hash HAVING min(student_id) <> max(student_id)
    ), code_votes AS MATERIALIZED (
        -- A number of votes and the index in one number: the greatest is that of most votes and, of
        -- these, of the greatest index, so that where two versions of a notebook are in use by as
        -- many, all homes are those of the one in which more stands above.
        SELECT code_hash, index, count(*)::integer AS votes,
            CASE WHEN count(*) >= 3 AND min(student_id) <> max(student_id)
                THEN count(*) << 32 | index END AS ballot
        FROM used WHERE code_hash IS NOT NULL AND index IS NOT NULL
        GROUP BY code_hash, index
    ), repeated AS MATERIALIZED (
        -- Of the codes that no majority has at one index: those that somebody has at two.
        SELECT code_hash FROM used WHERE index IS NOT NULL AND code_hash = ANY (ARRAY(
            SELECT code_hash FROM code_votes GROUP BY code_hash
            HAVING 2 * (max(ballot) >> 32) <= sum(votes)
        ))
        GROUP BY code_hash, student_id HAVING min(index) < max(index)
    ), codes AS MATERIALIZED (
        -- Where most who have a code have it or, if each has it once, more than at another index.
        SELECT code_hash, max(ballot) & {_LOW} AS code_home, count(*) > 1 AS is_elsewhere
        FROM code_votes GROUP BY code_hash
        HAVING 2 * (max(ballot) >> 32) > sum(votes) OR max(ballot) IS NOT NULL
            AND code_hash <> ALL (ARRAY(SELECT code_hash FROM repeated))
    ), many AS MATERIALIZED (
        SELECT true FROM (
            SELECT DISTINCT student_id FROM used WHERE is_student
        ) AS students HAVING count(*) >= 3
    ), has AS MATERIALIZED (
        SELECT EXISTS (SELECT FROM shared) AS shared,
            EXISTS (SELECT FROM codes WHERE is_elsewhere)
                OR EXISTS (SELECT FROM used WHERE index IS NULL) AS others
    ), special AS MATERIALIZED (
        -- Where no id is shared: who has a code elsewhere, or no index. All others are in place.
        SELECT DISTINCT student_id FROM (
            SELECT student_id, index, code_home
            FROM used FULL JOIN codes USING (code_hash)
            WHERE (SELECT others AND NOT shared FROM has) OFFSET 0
        ) AS cells
        WHERE index IS NULL OR code_home <> index
    ), known AS MATERIALIZED (
        SELECT used.*, COALESCE(shared.is_shared, false) AS is_shared
        FROM (
            SELECT * FROM used WHERE (SELECT shared FROM has)
                OR student_id IN (SELECT student_id FROM special) OFFSET 0
        ) AS used FULL JOIN shared USING (name_hash)
    ), shared_homes AS MATERIALIZED (
        SELECT name_hash, {_ONE_MORE} - (max(ballot) & {_LOW}) AS home,
            max(ballot) AS ballot
        FROM (
            SELECT name_hash, count(*) << 32 | ({_ONE_MORE} - index) AS ballot
            FROM known WHERE is_shared AND index IS NOT NULL GROUP BY name_hash, index
        ) AS votes
        GROUP BY name_hash
    ), homes AS MATERIALIZED (
        SELECT * FROM (
            SELECT known.*, home, code_home
            FROM known FULL JOIN shared_homes USING (name_hash)
            FULL JOIN codes USING (code_hash) OFFSET 0
        ) AS cells
        WHERE id IS NOT NULL  -- not a code of others
    ), movers AS MATERIALIZED (
        SELECT student_id FROM homes GROUP BY student_id
        HAVING bool_or(NOT is_shared) AND (bool_or(is_shared) OR bool_or(code_home <> index))
    ), moved AS (
        -- The newest cell at an index is 1; those of an earlier opening follow.
        SELECT *, row_number() OVER (
            PARTITION BY student_id, index ORDER BY last_at DESC NULLS LAST, id DESC
        ) AS opening
        FROM homes WHERE student_id = ANY (ARRAY(SELECT student_id FROM movers))
    ), recognised AS (
        -- By the id or, unless the student has it twice, by the code.
        SELECT *, CASE WHEN is_shared THEN home WHEN index IS NULL OR index = code_home
                OR count(*) OVER (PARTITION BY student_id, opening, code_hash) = 1
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
            all_of_it AS (PARTITION BY student_id, opening),
            above AS (all_of_it ORDER BY index)
    ), put AS (
        SELECT {_COLUMNS}, is_shared, false AS is_added,
            CASE WHEN is_shared THEN home ELSE COALESCE(index, code_home) END AS at
        FROM homes WHERE student_id NOT IN (SELECT student_id FROM movers)
        UNION ALL
        -- Added is one that is not recognised, where the student has another one that is: under an
        -- id of many or, of the same opening, with their code.
        SELECT {_COLUMNS}, is_shared,
            NOT is_recognised AND (bool_or(is_shared) OVER here OR COALESCE(
                bit_or(1::bigint << LEAST(opening, 62)::integer) FILTER (WHERE is_recognised)
                    OVER here >> LEAST(opening, 62)::integer & 1 = 1, false
            )), at
        FROM followed WINDOW here AS (PARTITION BY student_id, at)
    ), at_index AS MATERIALIZED (
        SELECT DISTINCT ON (home) home AS at, name_hash AS shared_name
        FROM shared_homes ORDER BY home, ballot DESC, name_hash
    ), kinds AS (
        SELECT put.*, shared_name, CASE
            WHEN is_shared OR at IS NULL OR {_ARE_FEW}
            THEN {NAMED} WHEN is_added THEN {ADDED} ELSE {INDEX} END AS kind
        FROM put FULL JOIN at_index USING (at)
    )
    -- Most rows of a notebook without shared ids: they go through none of the steps above.
    SELECT {_COLUMNS}, index AS at,
        CASE WHEN {_ARE_FEW} THEN {NAMED} ELSE {INDEX} END AS kind,
        CASE WHEN {_ARE_FEW} THEN name_hash ELSE index END AS key
    FROM used WHERE NOT (SELECT shared FROM has)
        AND student_id NOT IN (SELECT student_id FROM special)
    UNION ALL
    SELECT {_COLUMNS},
        CASE WHEN kind = {NAMED} AND NOT is_shared THEN index ELSE at END,
        CASE WHEN kind = {INDEX} AND shared_name IS NOT NULL THEN {NAMED} ELSE kind END,
        CASE kind WHEN {NAMED} THEN name_hash WHEN {INDEX} THEN COALESCE(shared_name, at)
            ELSE at END
    FROM kinds
"""
