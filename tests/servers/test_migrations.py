"""The schema: by the server or by psql, from nothing or from commit 7cae75c, it is the same."""

import asyncio
import csv
import gzip
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.database.psql import steps
from tests.support.postgres import (
    Address,
    client_command,
    environment_of,
    fetch,
    psql,
    temporary_database,
)
from tests.support.replicas import Replica
from tests.support.schema import (
    ANSWERS,
    FILES,
    applied,
    apply_by_psql,
    apply_by_server,
    restore,
    schema_of,
)

LOGGED_QUERY = re.compile(r"(?s)\*+ QUERY \*+/?\n(.*?)\n/?\*{20,}")

each_origin = pytest.mark.parametrize("released", [False, True], ids=["empty", "7cae75c"])


@pytest.mark.parametrize("apply", [apply_by_psql, apply_by_server])
@each_origin
async def test_every_way_ends_in_the_same_schema(
    postgres_server: Address, postgres: Address, released: bool, apply: Any
) -> None:
    await apply_by_psql(postgres)
    async with temporary_database(postgres_server) as other:
        if released:
            await restore(other)
        await apply(other)
        assert await schema_of(other) == await schema_of(postgres)
        assert await applied(other) == list(range(1, len(FILES) + 1))


async def test_the_first_migration_is_the_schema_of_7cae75c(
    postgres_server: Address, postgres: Address
) -> None:
    await restore(postgres)
    async with temporary_database(postgres_server) as other:
        await apply_by_psql(other, FILES[:1])
        expected = await schema_of(postgres, "applied_sql")
        assert await schema_of(other, "schema_migrations") == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
async def test_the_server_splits_a_file_as_psql_does(
    postgres: Address, tmp_path: Path, path: Path
) -> None:
    log = tmp_path / "psql.log"
    await apply_by_psql(postgres, FILES[: FILES.index(path)])
    await psql(postgres, "-L", str(log), "-f", str(path))
    executed = [_words(query) for query in LOGGED_QUERY.findall(log.read_text())]
    assert executed == _statements(path)


def _statements(path: Path) -> list[list[str]]:
    return [
        _words(step.text) for step in steps(path.read_text()) if step.command in ("run", "gset")
    ]


def _words(statement: str) -> list[str]:
    return re.sub(r"--[^\n]*", "", statement).rstrip("; \n").split()


@each_origin
async def test_psql_may_apply_the_files_again(postgres: Address, released: bool) -> None:
    if released:
        await restore(postgres)
    await apply_by_psql(postgres)
    schema, rows = await schema_of(postgres), await fetch(postgres, "TABLE schema_migrations")
    await apply_by_psql(postgres)
    assert await schema_of(postgres) == schema
    assert await fetch(postgres, "TABLE schema_migrations") == rows


async def test_psql_reads_the_files_as_utf_8(postgres: Address) -> None:
    for path in FILES:
        await psql(postgres, "-c", "SET client_encoding = 'LATIN1'", "-f", str(path))
    (row,) = await fetch(postgres, "SELECT normalised_error('name 1') AS it")
    assert row["it"] == "name …"


async def test_psql_stops_at_an_error_however_it_is_set_up(postgres: Address) -> None:
    await fetch(postgres, "CREATE TABLE outbox_counts (batch xid8)")
    for path in FILES:
        options = ("-X", "-q", "-v", "ON_ERROR_ROLLBACK=on", "-f", str(path))
        command = client_command("psql", postgres, *options)
        await asyncio.to_thread(subprocess.run, command, capture_output=True)
    assert await applied(postgres) == [1]


async def test_a_file_does_nothing_after_a_later_one_renamed_its_tables(postgres: Address) -> None:
    await apply_by_psql(postgres)
    await fetch(postgres, "ALTER TABLE students RENAME TO learners")
    before = await schema_of(postgres)
    await apply_by_psql(postgres)
    assert await schema_of(postgres) == before


async def test_a_file_that_psql_applied_is_not_applied_by_the_server(postgres: Address) -> None:
    await apply_by_psql(postgres)
    await fetch(postgres, "DROP VIEW student_activity_counts")
    await apply_by_server(postgres)
    assert not (await fetch(postgres, "SELECT to_regclass('student_activity_counts')"))[0][
        "to_regclass"
    ]


async def test_every_read_answers_as_before_the_upgrade(postgres: Address, tmp_path: Path) -> None:
    await restore(postgres)
    kept = {"REJECTED_MAX_DAYS": "1000000"}  # however old the dump is
    changed: list[tuple[str, ...]] = []
    with Replica(environment_of(postgres, tmp_path / "data") | kept) as replica:
        async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1/", timeout=15) as client:
            expected: dict[str, str] = json.loads(gzip.decompress(ANSWERS.read_bytes()))
            for path, before in expected.items():
                response = await client.get(path)
                answer = response.text if response.is_success else f"404 {response.text}"
                changed += [(path, *each) for each in differences(parsed(before), parsed(answer))]
    unexpected = [each for each in changed if not any(matches(each, change) for change in CHANGES)]
    assert unexpected == []
    assert [
        change for change in CHANGES if not any(matches(each, change) for each in changed)
    ] == []
    assert await fetch(postgres, "SELECT count(*) FROM outbox_points") == [{"count": 44}]
    assert await fetch(postgres, "SELECT count(*) FROM outbox_handlers") == [{"count": 1}]
    assert await fetch(postgres, "SELECT count(*) FROM outbox_counts") == [{"count": 0}]


# What the contract has changed since: path, place in the answer, before and after.
CHANGES = (
    # A name that events claimed shows in their classes, and is no record.
    (r"students(/1|\?.*)", "(name|email|team)", ".+", "None"),
    # A Markdown cell is rendered, not executed.
    (r"classes/2/(now|activity).*", "executions", "4", "3"),
    (
        r"classes/2/notebooks/2/students",
        "(executions|attempts|succeeded)",
        "1|True",
        "0|None|False",
    ),
    (
        r"classes/2/notebooks/2/cells.*",
        "cells/(executions|ran|succeeded|attempts_.*|duration_.*)",
        ".+",
        "0|None",
    ),
    (r"students/25/timeline.*", "items/status", "success", "rendered"),
    # A notebook belongs to one class: here by the students of two, and one without a class.
    (r"classes/(1/notebooks/2|2/notebooks/1)/.*", "", ".+", "404 .+no notebook.+"),
    (r"classes/./notebooks/[34]/cells.*", "cells", "1 items", "0 items"),
    (r"notebooks", "", "4 items", "5 items"),
    (r"students/36/timeline.*", "items/notebook_id", "1", "5"),
)


def matches(difference: tuple[str, ...], change: tuple[str, ...]) -> bool:
    return all(
        re.fullmatch(pattern, text) for pattern, text in zip(change, difference, strict=True)
    )


def parsed(answer: str) -> Any:
    """JSON, the lines of a CSV, or the text of an error."""
    if answer.startswith("404 "):
        return answer
    if answer.startswith("\ufeff"):
        return list(csv.DictReader(io.StringIO(answer[1:])))
    return json.loads(answer)


def differences(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, str, str]]:
    """Place, value before and value after. New fields are none."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            yield from differences(value, after.get(name, "gone"), f"{place}/{name}".strip("/"))
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) == len(after):
            for one, other in zip(before, after, strict=True):
                yield from differences(one, other, place)
        else:
            yield place, f"{len(before)} items", f"{len(after)} items"
    elif before != after:
        yield place, str(before), str(after)


async def test_cells_of_before_are_in_place_and_counted_anew_by_the_server(
    postgres: Address,
) -> None:
    await restore(postgres)
    await apply_by_server(postgres)
    await fetch(postgres, "SELECT count_batches(100)")
    query = """
        SELECT student_id, p.cell_id, name_hash = hashtextextended(c.cell_id, 0) AS is_named,
            p.position IS NOT DISTINCT FROM c.position AS is_placed, executions, errors
        FROM cell_progress AS p JOIN cells AS c ON c.id = p.cell_id ORDER BY 1, 2
    """
    before = await fetch(postgres, query)
    assert len(before) > 20
    assert all(row["is_named"] and row["is_placed"] for row in before)
    students = await fetch(postgres, "SELECT id AS student_id FROM students WHERE has_events")
    due = await fetch(postgres, "SELECT student_id FROM outbox_recounts")
    assert {row["student_id"] for row in students} == {row["student_id"] for row in due}
    await fetch(postgres, "SELECT recount_students(ARRAY(SELECT student_id FROM outbox_recounts))")
    assert await fetch(postgres, query) == before
    (counts,) = await fetch(
        postgres,
        """SELECT count(*) = count(first_at) AND count(*) = count(last_at) AS is_timed,
               count(code_hash) > 20 AS has_code, count(type) > 20 AS has_types
           FROM cell_progress""",
    )
    assert all(counts.values())


async def test_unpacked_counters_are_those_of_the_events(postgres: Address) -> None:
    await restore(postgres)
    await apply_by_server(postgres)
    await fetch(postgres, "SELECT count_batches(100)")
    counted = await fetch(
        postgres,
        """SELECT student_id, at, executions, errors FROM student_activity_counts
           WHERE step = 60 AND executions > 0 ORDER BY student_id, at""",
    )
    stored = await fetch(
        postgres,
        """SELECT student_id, date_trunc('minute', LEAST(executed_at, received_at)) AS at,
               count(*) AS executions, count(*) FILTER (WHERE status = 'error') AS errors
           FROM cell_executions WHERE status <> 'rendered' GROUP BY 1, 2 ORDER BY 1, 2""",
    )
    assert len(stored) > 100
    assert counted == stored
