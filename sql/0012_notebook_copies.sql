-- Copies of notebooks that a class has handed out: recognised at reading, unless a teacher has decided.

\set ON_ERROR_STOP on

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1667591276);
SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE number = 12) AS wanted \gset
\if :wanted

-- The file name of a path, and what it was before programs marked it as a copy, mark by mark:
-- `{lesson - Copy (2).ipynb, lesson - Copy.ipynb, lesson.ipynb}`. docs/classes.md lists the marks. With
-- `numbers` also without a bare number, as `lesson-2.ipynb`, which people write as well.
--
-- It names no function of ours: pg_dump restores the columns below without a search path.
CREATE FUNCTION original_names(path text, numbers boolean) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    name     text := regexp_replace(path, '^.*/(?=.)', '');
    original text;
    names    text[] := ARRAY[name];
BEGIN
    LOOP
        original := regexp_replace(name, '^(?:Copy (?:\(\d+\) )?of |コピー ?[~～〜] ?)(?=.)', '');
        IF original = name THEN
            original := regexp_replace(
                name,
                '^(.+?)(?:'
                    ' ?\(\d{1,3}\)|-Copy\d*| - Copy| copy(?: \d+)?|[ _-]*の?コピー(?: ?\d+)?|-checkpoint'
                    '| ?\([^()]*(?:\m[Cc]opy\M|コピー)[^()]*\)'
                ')(\.[A-Za-z]+)?$',
                '\1\2'
            );
        END IF;
        IF original = name THEN
            original := regexp_replace(name, '(?:\.ipynb){2,}$', '.ipynb');
        END IF;
        IF original = name AND numbers THEN
            original := regexp_replace(name, '^(.+?)[ _-]\d{1,2}(\.[A-Za-z]+)?$', '\1\2');
        END IF;
        EXIT WHEN original = name OR cardinality(names) = 8;
        names := names || original;
        name := original;
    END LOOP;
    RETURN names;
END $$;

-- A copy and its original have the same last name, apart from a number.
ALTER TABLE notebooks
    ADD COLUMN names text[] GENERATED ALWAYS AS (original_names(path, false)) STORED,
    ADD COLUMN stem text GENERATED ALWAYS AS (
        (original_names(path, true))[cardinality(original_names(path, true))]
    ) STORED;
CREATE INDEX notebooks_names ON notebooks (class_id, (names[cardinality(names)]));
CREATE INDEX notebooks_stem ON notebooks (class_id, stem);

-- What teachers decided: this notebook of the class counts for that one, or (null) for itself only.
CREATE TABLE notebook_decisions (
    class_id    bigint NOT NULL REFERENCES classes ON DELETE CASCADE,
    notebook_id bigint NOT NULL REFERENCES notebooks ON DELETE CASCADE,
    counts_for  bigint REFERENCES notebooks ON DELETE CASCADE,
    decided_by  text NOT NULL,
    decided_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (class_id, notebook_id),
    CHECK (counts_for <> notebook_id)
);
CREATE INDEX notebook_decisions_notebook ON notebook_decisions (notebook_id);
CREATE INDEX notebook_decisions_counts_for ON notebook_decisions (counts_for);

-- Of the notebooks `wanted`, those that count for another one in a class, and why:
--
-- * `merged`: a teacher said so;
-- * `path`: it is of another class whose rows this one shows, and has the same path;
-- * `cells`: it has the name of a copy of a notebook that was handed out, and of its `cells` (at most
--   200 are looked at) half or more, `known`, are cells of that one;
-- * `name`: likewise, and no two people share a cell id of that one, so that ids say nothing.
--
-- The first of `classes` is the class, the others are those whose rows it shows. What was handed out,
-- and what others were merged into, is a copy of nothing. Of several that have the name, the one whose
-- folder ends the copy's folder is the original, else the only one with half the cells.
--
-- Every part looks rows up by keys, whatever the statistics say, and reads a bounded number of them.
CREATE FUNCTION notebook_copies(classes bigint[], wanted bigint[])
RETURNS TABLE (notebook_id bigint, counts_for bigint, reason text, cells integer, known integer)
LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE merged AS (
        SELECT d.notebook_id, d.counts_for, 1 AS depth FROM notebook_decisions AS d
        WHERE d.class_id = classes[1] AND d.counts_for IS NOT NULL
        UNION ALL
        SELECT m.notebook_id, next.counts_for, m.depth + 1
        FROM merged AS m CROSS JOIN LATERAL (
            SELECT d.counts_for FROM notebook_decisions AS d
            WHERE d.class_id = classes[1] AND d.notebook_id = m.counts_for
                AND d.counts_for IS NOT NULL OFFSET 0
        ) AS next
    ), roots AS MATERIALIZED (
        SELECT DISTINCT ON (notebook_id) notebook_id, counts_for
        FROM merged ORDER BY notebook_id, depth DESC
    ), handed_out AS MATERIALIZED (
        SELECT n.id, n.path, n.names[1] AS name, n.names[cardinality(n.names)] AS base,
            left(n.path, -length(n.names[1])) AS folder
        FROM (
            SELECT DISTINCT notebook_id FROM class_assignments WHERE class_id = classes[1]
        ) AS a
        CROSS JOIN LATERAL (SELECT * FROM notebooks WHERE id = a.notebook_id OFFSET 0) AS n
    ), asked AS MATERIALIZED (
        SELECT n.id, COALESCE(own.id, n.id) AS own_id, n.path, n.names, n.stem,
            left(n.path, -length(n.names[1])) AS folder
        FROM (SELECT DISTINCT id FROM unnest(wanted) AS w (id)) AS w
        CROSS JOIN LATERAL (SELECT * FROM notebooks WHERE id = w.id OFFSET 0) AS n
        LEFT JOIN LATERAL (
            SELECT id FROM notebooks WHERE class_id = classes[1] AND path = n.path OFFSET 0
        ) AS own ON true
        WHERE n.class_id = ANY (classes)
    ), undecided AS MATERIALIZED (
        SELECT DISTINCT ON (own_id) own_id, path, names, stem, folder FROM asked AS a
        WHERE NOT EXISTS (
            SELECT FROM notebook_decisions AS d WHERE d.class_id = classes[1]
                AND (d.notebook_id = a.own_id OR d.counts_for = a.own_id)
        ) AND NOT EXISTS (SELECT FROM handed_out AS h WHERE h.id = a.own_id)
        ORDER BY own_id
    ), named AS MATERIALIZED (
        SELECT u.own_id, u.path, h.id AS original_id,
            COALESCE(array_position(u.names, h.name), 99) AS marks,
            CASE WHEN right('/' || u.folder, length(h.folder) + 1) = '/' || h.folder
                THEN length(h.folder) ELSE 0 END AS shared_folder
        FROM undecided AS u JOIN handed_out AS h ON h.name = ANY (u.names || u.stem)
    ), nearest AS MATERIALIZED (
        SELECT *, count(*) OVER (PARTITION BY own_id) AS choices
        FROM (
            SELECT *, rank() OVER (PARTITION BY own_id ORDER BY marks, shared_folder DESC) AS rank
            FROM named
        ) AS ranked
        WHERE rank = 1
    ), originals AS MATERIALIZED (
        SELECT h.id, h.name, h.base, ARRAY(
            SELECT a.id FROM notebooks AS n CROSS JOIN LATERAL (
                SELECT id FROM notebook_aliases WHERE notebook_id = n.id OFFSET 0
            ) AS a
            WHERE n.class_id = ANY (classes) AND n.path = h.path
        ) AS aliases
        FROM handed_out AS h WHERE EXISTS (SELECT FROM nearest AS n WHERE n.original_id = h.id)
    ), families AS MATERIALIZED (
        SELECT o.id, o.aliases, o.aliases || ARRAY(
            SELECT a.id FROM (
                SELECT id FROM notebooks
                WHERE class_id = ANY (classes) AND names[cardinality(names)] = o.base
                    AND o.name = ANY (names) AND NOT EXISTS (
                        SELECT FROM handed_out AS h WHERE h.name = o.name AND h.id <> o.id
                    )
                ORDER BY id LIMIT 5
            ) AS n CROSS JOIN LATERAL (
                SELECT id FROM notebook_aliases WHERE notebook_id = n.id LIMIT 2
            ) AS a
        ) AS sample
        FROM originals AS o
    ), shared AS MATERIALIZED (
        SELECT f.id, f.aliases, ARRAY(
            SELECT p.name_hash
            FROM (
                SELECT p.* FROM student_classes AS m CROSS JOIN LATERAL (
                    SELECT student_id, name_hash FROM cell_progress
                    WHERE student_id = m.student_id AND alias_id = ANY (f.sample) LIMIT 100
                ) AS p
                WHERE m.class_id = classes[1] LIMIT 1000
            ) AS p
            GROUP BY p.name_hash HAVING min(p.student_id) < max(p.student_id) LIMIT 100
        ) AS names
        FROM families AS f
    ), compared AS MATERIALIZED (
        SELECT n.*, s.names, c.cells, c.known, c.cells >= 2 AND c.known * 2 >= c.cells AS alike
        FROM nearest AS n JOIN shared AS s ON s.id = n.original_id
        CROSS JOIN LATERAL (
            SELECT count(*)::integer AS cells, count(*) FILTER (
                WHERE hashtextextended(seen.cell_id, 0) = ANY (s.names) OR EXISTS (
                    SELECT FROM cells AS c
                    WHERE c.alias_id = ANY (s.aliases) AND c.cell_id = seen.cell_id
                )
            )::integer AS known
            FROM (
                SELECT DISTINCT cell_id FROM (
                    SELECT c.cell_id FROM notebooks AS twin CROSS JOIN LATERAL (
                        SELECT id FROM notebook_aliases WHERE notebook_id = twin.id OFFSET 0
                    ) AS a CROSS JOIN LATERAL (
                        SELECT cell_id FROM cells WHERE alias_id = a.id OFFSET 0
                    ) AS c
                    WHERE twin.class_id = ANY (classes) AND twin.path = n.path LIMIT 200
                ) AS sample
            ) AS seen
        ) AS c
    ), recognised AS MATERIALIZED (
        SELECT own_id, original_id, cells, known, CASE WHEN alike THEN 'cells' ELSE 'name' END AS why
        FROM (
            SELECT *, count(*) FILTER (WHERE alike) OVER (PARTITION BY own_id) AS alike_choices
            FROM compared
        ) AS c
        WHERE CASE WHEN alike_choices > 0 THEN alike AND alike_choices = 1
            ELSE choices = 1 AND marks < 99 AND names = '{}' END
    )
    SELECT a.id, COALESCE(root.counts_for, r.original_id, a.own_id),
        CASE WHEN own_root.counts_for IS NOT NULL THEN 'merged' ELSE COALESCE(r.why, 'path') END,
        r.cells, r.known
    FROM asked AS a
    LEFT JOIN recognised AS r ON r.own_id = a.own_id
    LEFT JOIN roots AS own_root ON own_root.notebook_id = a.own_id
    LEFT JOIN roots AS root ON root.notebook_id = COALESCE(r.original_id, a.own_id)
    WHERE COALESCE(root.counts_for, r.original_id, a.own_id) <> a.id;
END $$;

-- The notebooks that count for one in a class, and itself. Of those that may be copies, the 2,000 oldest
-- of each notebook are looked at.
CREATE FUNCTION notebooks_counting_for(classes bigint[], target bigint) RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    candidates bigint[];
BEGIN
    WITH RECURSIVE targets AS (
        SELECT target AS id
        UNION
        SELECT d.notebook_id FROM targets AS t CROSS JOIN LATERAL (
            SELECT notebook_id FROM notebook_decisions
            WHERE class_id = classes[1] AND counts_for = t.id OFFSET 0
        ) AS d
    )
    SELECT array_agg(c.id) INTO candidates
    FROM targets AS t CROSS JOIN LATERAL (
        SELECT * FROM notebooks WHERE id = t.id OFFSET 0
    ) AS n CROSS JOIN LATERAL (
        SELECT id FROM notebooks AS same
        WHERE same.class_id = ANY (classes) AND same.path = n.path
        UNION ALL
        SELECT id FROM (
            SELECT id FROM (
                SELECT id FROM notebooks AS same
                WHERE same.class_id = ANY (classes)
                    AND same.names[cardinality(same.names)] = n.names[cardinality(n.names)]
                    AND n.names[1] = ANY (same.names)
                UNION
                SELECT id FROM notebooks AS same
                WHERE same.class_id = ANY (classes) AND same.stem = n.names[1]
            ) AS alike
            WHERE EXISTS (
                SELECT FROM class_assignments WHERE class_id = classes[1] AND notebook_id = n.id
            )
            ORDER BY id LIMIT 2000
        ) AS copies
    ) AS c;
    RETURN ARRAY(
        SELECT target
        UNION SELECT notebook_id FROM notebook_copies(classes, candidates) WHERE counts_for = target
    );
END $$;

INSERT INTO schema_migrations (number, name) VALUES (12, 'notebook_copies');
\endif
COMMIT;
