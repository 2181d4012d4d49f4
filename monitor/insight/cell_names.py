"""What a cell is called: its first line of code, and the nearest heading above it.

Neither is stored: both are found when they are read, in the code that somebody ran there last and
in the Markdown cells that the same student rendered above. `cell_progress` says when that was, so
each takes a few look-ups by keys.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from monitor.database.pool import Connection
from monitor.insight.query import ClassIds

MAX_LENGTH = 60  # of a title and a heading
_READ = 2_000  # characters of a code
_NEAR = "interval '10 minutes'"  # of a known offset: an estimate varies
_MAX_TEXTS = 8  # Markdown cells above, among which a heading is looked for

_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)[ \t#]*")
_FENCES = ("```", "~~~")
_COMMENTS = ("#", "//", "--")


class CellName(NamedTuple):
    """Null where it is not known."""

    title: str | None
    heading: str | None


def cell_name(code: str | None, cell_type: str | None, text: str | None) -> CellName:
    """Of a cell's code, and of a Markdown cell above it with a heading."""
    return CellName(cell_title(code, cell_type), _last_heading(text))


def taken_name(row: dict[str, Any]) -> CellName:
    """That of the columns of `named`, which are removed from the row."""
    return cell_name(*(row.pop(name) for name in NAME_COLUMNS))


def cell_title(code: str | None, cell_type: str | None = None) -> str | None:
    """The first line of code, without comments and magics if there is more; at most 60 characters.

    Of a Markdown cell it is the first line of its text.
    """
    lines = [line for line in map(_one_line, (code or "").splitlines()) if line]
    if cell_type not in ("markdown", "raw"):
        statements = [line for line in lines if not line.startswith((*_COMMENTS, "%%"))]
        lines = statements or lines
    titles = (line.lstrip("#/- ") if line.startswith(_COMMENTS) else line for line in lines)
    return next((_cut(title) for title in titles if title), None)


def _last_heading(text: str | None) -> str | None:
    """The last heading of a Markdown text, the one nearest to the cells below."""
    heading, fence = None, ""
    for line in (text or "").splitlines():
        mark = line.lstrip()[:3]
        if mark in _FENCES and fence in ("", mark):
            fence = "" if fence else mark
        elif not fence and (found := _HEADING.fullmatch(line)) and found[1]:
            heading = _cut(_one_line(found[1]))
    return heading


def _one_line(line: str) -> str:
    return " ".join(line.split())


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1].rstrip() + "…"


NAME_COLUMNS = ("named_code", "named_type", "named_text")


def _code(progress: str, clock: str) -> str:
    """The code of this row of cell_progress, a scalar expression; `clock` has student's offsets.

    Most events have one of the extreme offsets, or none: those times are looked at first, then what
    is near them, which may be thousands of runs. For a clock that was months behind all that was
    done since then would be looked through.
    """
    at = f"{progress}.code_at - known.clock_offset"
    near = f"""
        SELECT near.code FROM (VALUES {_times(clock, "interval '0'")}, {_times(clock, _NEAR)})
            AS known (clock_offset, apart)
        CROSS JOIN LATERAL ({_run(progress, f"{at} - apart", f"{at} + apart")}) AS near LIMIT 1
    """  # noqa: S608 - constants
    anywhere = _run(
        progress,
        f"{progress}.code_at - {clock}.greatest",
        f"{progress}.code_at - {clock}.least + interval '1 minute'",
    )
    return f"COALESCE(({near}), ({anywhere}))"


def _times(clock: str, apart: str) -> str:
    return ", ".join(
        f"({offset}, {apart})" for offset in ("interval '0'", f"{clock}.greatest", f"{clock}.least")
    )


def _run(progress: str, least: str, greatest: str) -> str:
    """SELECT: the code that was run when this row says, among events that claim such a time.

    An event is put right to its receipt at the latest, so that a clock that is a little ahead, and
    not yet known to be, claims a later time.
    """
    return f"""
        SELECT left(code, {_READ}) AS code FROM cell_executions
        WHERE student_id = {progress}.student_id AND executed_at BETWEEN {least} AND {greatest}
            AND cell_id = {progress}.cell_id AND excluded IS NULL AND code IS NOT NULL
            AND put_right(received_at, executed_at, clock_offset) = {progress}.code_at
        LIMIT 1
    """  # noqa: S608 - constants


def named(*, student: str, alias: str, cell: str, index: str, classes: str) -> str:
    """A lateral subquery of one row, NAME_COLUMNS: what a student ran in a cell, and read above it.

    All are SQL expressions: ids, the cell's index in the student's notebook, and the classes whose
    events are shown. OFFSET 0 and LIMIT keep each part a look-up by a key.
    """
    return f"""LATERAL (
        SELECT {_code("own", "clock")} AS named_code, own.type AS named_type,
            heading.text AS named_text
        FROM (
            SELECT LEAST(min(least_offset), 0) * interval '1 microsecond' AS least,
                GREATEST(max(greatest_offset), 0) * interval '1 microsecond' AS greatest
            FROM student_states WHERE student_id = {student} AND class_id = ANY ({classes})
        ) AS clock
        LEFT JOIN LATERAL (
            SELECT student_id, cell_id, type, code_at FROM cell_progress
            WHERE student_id = {student} AND alias_id = {alias} AND cell_id = {cell} OFFSET 0
        ) AS own ON true
        LEFT JOIN LATERAL (
            SELECT text FROM (
                SELECT above.position, above.code_at, {_code("above", "clock")} AS text
                FROM (
                    SELECT student_id, cell_id, position, code_at FROM cell_progress
                    WHERE student_id = {student} AND alias_id = {alias} AND type = 'markdown'
                        AND position < {index}
                    ORDER BY position DESC, code_at DESC NULLS LAST LIMIT {_MAX_TEXTS}
                ) AS above OFFSET 0
            ) AS texts
            WHERE text ~ '(^|\\n) {{0,3}}#{{1,6}}[ \\t]+[^ \\t\\n#]'
            ORDER BY position DESC, code_at DESC LIMIT 1
        ) AS heading ON true
    )"""  # noqa: S608 - constants


async def fetch_names(
    connection: Connection, class_ids: ClassIds, runs: Sequence[tuple[int, int, int, int | None]]
) -> list[CellName]:
    """What these cells are called, each a student, an alias, a cell, and its index there."""
    columns = list(zip(*runs, strict=True)) or [()] * 4
    names = await connection.fetch(_SELECT_NAMES, *columns, class_ids)
    return [taken_name(dict(row)) for row in names]


# What was done in no class has clocks of its own, which are looked at everywhere.
_SELECT_NAMES = f"""
    SELECT called.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[])
        WITH ORDINALITY AS c (student_id, alias_id, cell_id, index, number)
    CROSS JOIN {
    named(
        student="c.student_id",
        alias="c.alias_id",
        cell="c.cell_id",
        index="c.index",
        classes="ARRAY[($5::bigint[])[1], 0]",
    )
} AS called
    ORDER BY c.number
"""  # noqa: S608 - constants
