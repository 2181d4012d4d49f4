"""The statement that adds a batch to its students' states, to the ledger and to the outboxes.

It returns a row for each student and class, with the state after the batch. Its parameters are the
StateDeltas as JSON in the order of their keys, whether there is InfluxDB, the replica, the new and
the repeated events, the first time of receipt, and the generation of the cached ids. Each row has
the batches of that generation that were committed before, None without any.
"""

from functools import lru_cache
from typing import NamedTuple

from monitor.database.members import MAX_ERRORS_IN_A_ROW
from monitor.pipeline.rosters import VERSION


class _Part(NamedTuple):
    """Columns of the state that few batches change: the fields of a delta, and what they set.

    The first field is there if one of them is. The statement names only the parts of its batch:
    each column costs time, for each student, also where it has no value. `columns` are made of the
    fields.
    """

    fields: tuple[str, ...]  # each with its type
    columns: str
    sets: str

    @property
    def mark(self) -> str:
        """What the JSON of a delta with this part contains; a quote in a text is escaped."""
        return f'"{self.fields[0].split()[0]}":'


def _started(column: str) -> str:
    return (
        f"{column} = CASE WHEN d.started_at IS NULL OR s.started_at > d.started_at"
        f" THEN s.{column} ELSE d.{column} END"
    )


def _time_of(field: str, column: str) -> str:
    """The column with the time of that field: without one it is that of the last event."""
    return f"CASE WHEN {field} IS NOT NULL THEN COALESCE({column}, last_at) END AS {column}"


def _claim(name: str) -> _Part:
    is_later = f"(d.{name}_at, d.{name}) > (s.{name}_at, COALESCE(s.{name}, ''))"
    return _Part(
        (f"{name} text", f"{name}_at timestamptz", f"{name}_by text"),
        f"{name}, {_time_of(name, f'{name}_at')}, {name}_by",
        f"""
        {name} = CASE WHEN {is_later} THEN d.{name} ELSE s.{name} END,
        {name}_by = CASE WHEN {is_later} THEN d.{name}_by ELSE s.{name}_by END,
        {name}_at = GREATEST(s.{name}_at, d.{name}_at)""",
    )


def _extreme(column: str, kind: str, function: str) -> _Part:
    return _Part((f"{column} {kind}",), column, f"{column} = {function}(s.{column}, d.{column})")


_PARTS = (
    _Part(
        ("started_at timestamptz", "started_alias bigint", "started_cell bigint"),
        "started_at, started_alias, started_cell",
        f"""
        started_at = GREATEST(s.started_at, d.started_at),
        {_started("started_alias")},
        {_started("started_cell")}""",
    ),
    _extreme("help_at", "timestamptz", "GREATEST"),
    _extreme("help_stop_at", "timestamptz", "GREATEST"),
    _claim("name"),
    _claim("email"),
    _claim("team"),
    _Part(
        ("verified_until timestamptz", "verified_by text"),
        "verified_until, verified_by",
        """
        verified_until = COALESCE(d.verified_until, s.verified_until),
        verified_by = COALESCE(d.verified_by, s.verified_by)""",
    ),
    _extreme("least_offset", "bigint", "LEAST"),
    _extreme("greatest_offset", "bigint", "GREATEST"),
)
_MARKS = [(part.mark, part) for part in _PARTS]


def record_batch(deltas: str) -> str:
    """The statement for these deltas."""
    return _statement(tuple(part for mark, part in _MARKS if mark in deltas))


# It sets synchronous_commit for its transaction: what is answered as stored is on disk, whatever
# the session's setting has become.
#
# The changes are passed as JSON: an array per column takes four times as long to encode.
#
# The states are locked by the update itself, in the order of the deltas, which is the same
# everywhere, to avoid deadlocks: by `monitor.database.pool.BY_KEYS` sessions join by nested loops.
@lru_cache(64)
def _statement(parts: tuple[_Part, ...]) -> str:
    fields = "".join(f", {field}" for part in parts for field in part.fields)
    columns = "".join(f",\n            {part.columns}" for part in parts)
    sets = "".join(f",\n        {part.sets}" for part in parts)
    return f"""
    WITH deltas AS MATERIALIZED (
        SELECT student_id, class_id, first_at, last_at, received_at, executions, errors,
            CASE WHEN executions > COALESCE(errors, 0)
                THEN COALESCE(last_success_at, last_at) END AS last_success_at,
            error_times, alias_id, {_time_of("alias_id", "alias_at")},
            cell_id, cell_index, {_time_of("cell_id", "cell_at")}{columns}
        FROM json_to_recordset($1) AS delta (
            student_id bigint, class_id bigint, first_at timestamptz, last_at timestamptz,
            received_at timestamptz, executions bigint, errors bigint,
            last_success_at timestamptz, error_times timestamptz[],
            alias_at timestamptz, alias_id bigint, cell_at timestamptz, cell_id bigint,
            cell_index integer{fields}
        )
    ),
    batch AS (
        SELECT array_agg(student_id) AS student_ids,
            array_agg(first_at) AS first_times, array_agg(last_at) AS last_times
        FROM (
            SELECT student_id, min(first_at) AS first_at, max(last_at) AS last_at
            FROM deltas GROUP BY student_id
        ) AS spans HAVING count(*) > 0
    ),
    points AS (
        INSERT INTO outbox_points (student_ids, first_times, last_times)
        SELECT * FROM batch WHERE $2
        RETURNING id
    ),
    counts AS (
        INSERT INTO ledger AS l (replica, stored, duplicates, generation, batches)
        VALUES ($3, $4, $5, $7, (set_config('synchronous_commit', 'on', true) = 'on')::integer)
        ON CONFLICT (replica) DO UPDATE SET
            stored = l.stored + EXCLUDED.stored, duplicates = l.duplicates + EXCLUDED.duplicates,
            batches = CASE WHEN l.generation = $7 THEN l.batches ELSE 0 END + 1, generation = $7
    ),
    to_count AS (
        INSERT INTO outbox_counts (received_at, student_ids, first_times, last_times)
        SELECT $6, batch.* FROM batch
    )
    UPDATE student_states AS s SET
        executions = s.executions + COALESCE(d.executions, 0),
        errors = s.errors + COALESCE(d.errors, 0),
        last_received_at = GREATEST(s.last_received_at, d.received_at),
        last_success_at = GREATEST(s.last_success_at, d.last_success_at),
        -- The cases before the last one are what it returns, too, in less time.
        error_times = CASE
            WHEN d.error_times IS NULL AND (d.last_success_at IS NULL OR s.error_times = '{{}}')
            THEN s.error_times
            WHEN d.error_times IS NULL
                AND s.error_times[cardinality(s.error_times)] <= d.last_success_at
            THEN '{{}}'
            WHEN s.error_times = '{{}}'
                AND (s.last_success_at IS NULL OR d.error_times[1] > s.last_success_at)
            THEN d.error_times
            WHEN d.last_success_at IS NULL
                AND d.error_times[1] >= s.error_times[cardinality(s.error_times)]
                AND cardinality(s.error_times) + cardinality(d.error_times) <= {MAX_ERRORS_IN_A_ROW}
            THEN s.error_times || d.error_times
            ELSE errors_since(
                GREATEST(s.last_success_at, d.last_success_at), s.error_times, d.error_times)
            END,
        alias_id = CASE WHEN s.alias_at > d.alias_at THEN s.alias_id
                   ELSE COALESCE(d.alias_id, s.alias_id) END,
        alias_at = GREATEST(s.alias_at, d.alias_at),
        cell_id = CASE WHEN s.cell_at > d.cell_at THEN s.cell_id
                  ELSE COALESCE(d.cell_id, s.cell_id) END,
        cell_index = CASE WHEN d.cell_id IS NULL OR s.cell_at > d.cell_at THEN s.cell_index
                     ELSE d.cell_index END,
        cell_at = GREATEST(s.cell_at, d.cell_at){sets}
    FROM deltas AS d
    WHERE s.student_id = d.student_id AND s.class_id = d.class_id
    RETURNING s.student_id, s.class_id, s.executions, s.errors, s.name, s.team,
        (SELECT id FROM points) AS outbox_id, {VERSION},
        (SELECT batches FROM ledger WHERE replica = $3 AND generation = $7) AS batches
    """  # noqa: S608 - constants
