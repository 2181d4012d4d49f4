"""Kinds of errors: what kernels and clients send, and how it is grouped."""

import random
import time
import tomllib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.factories import deadline_soon, make_event
from tests.support.paths import ROOT
from tests.support.postgres import Address, temporary_database
from tests.support.schema import FILES, apply_by_psql, apply_by_server
from tests.support.sinks import sink_on

FORMS: list[dict[str, str]] = tomllib.loads(
    (ROOT / "tests" / "error_kinds.toml").read_text(encoding="utf-8")
)["form"]
MIGRATION = next(number for number, path in enumerate(FILES) if "error_kinds" in path.name)
COUNTED = "SELECT student_id, error, count FROM cell_errors ORDER BY student_id, error"
MAX_USUAL = 0.1  # seconds, on a busy machine; on an idle one 0.1 ms
MAX_COST = 20  # times that of words of the same length; up to 7 was seen


@pytest.fixture(scope="module")
async def connection(postgres_server: Address) -> AsyncIterator[asyncpg.Connection]:
    async with temporary_database(postgres_server) as address:
        await apply_by_server(address)
        connection = await asyncpg.connect(**address)
        yield connection
        await connection.close()


async def kind_of(connection: asyncpg.Connection, error: str) -> str:
    return str(await connection.fetchval("SELECT normalised_error($1)", error))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form['from']}: {form['kind'][:40]}")
async def test_a_form_belongs_to_its_kind(
    connection: asyncpg.Connection, form: dict[str, str]
) -> None:
    assert await kind_of(connection, form["text"]) == form["kind"]


@pytest.mark.parametrize(
    "errors",
    [
        ("NameError: name 'x' is not defined", "NameError: name ‘合計’ is not defined"),
        (
            "SyntaxError: invalid syntax (<ipython-input-3-ab>, line 1)",
            "SyntaxError: invalid syntax",
        ),
        ("OSError: /home/hanako/a.csv is empty", "OSError: D:\\花子\\b.csv is empty"),
        ("E: <__main__.A object at 0x7f00>", "E: <__main__.B object at 0x10ff2>"),
        ("pandas.errors.EmptyDataError: No columns", "EmptyDataError: No columns"),
        ("KeyError: 'a'", "KeyError: (1, 'b')", "KeyError: Timestamp('2026-04-06')"),
        ("ValueError: shapes (2,3) and (2,) differ", "ValueError: shapes (4,) and (1,1,1) differ"),
        ("E: it's 'one'", "E: it's 'two'"),
        ("KeyError: '" + "x" * 3000 + "'", "KeyError: '" + "y" * 900),
        ("\ufeffTypeError: a\u200b b", "TypeError: a  b "),
        ("\x1b]0;title\x07\x1b[1mE\x1b[m: a", "\\u001b[1mE\\u001b[0m: a", "[1mE[0m: a", "E: a"),
    ],
    ids=lambda errors: errors[0][:40],
)
async def test_these_are_one_kind(connection: asyncpg.Connection, errors: tuple[str, ...]) -> None:
    assert len({await kind_of(connection, error) for error in errors}) == 1


@pytest.mark.parametrize(
    "errors",
    [
        ("SyntaxError: invalid syntax (a.py, line 1)", "SyntaxError: unmatched ')' (a.py, line 1)"),
        ("KeyError: 'a'", "KeyError: \"['a'] not in index\""),
        ("ArithmeticException: / by zero", "ArithmeticException: overflow"),
        ("Error in f(x) : object 'y' not found", "Error in f(x) : subscript out of bounds"),
    ],
)
async def test_these_are_different_kinds(
    connection: asyncpg.Connection, errors: tuple[str, ...]
) -> None:
    assert len({await kind_of(connection, error) for error in errors}) == len(errors)


async def test_a_long_traceback_is_named_by_its_end(connection: asyncpg.Connection) -> None:
    frames = "".join(f'  File "a.py", line {n}, in f\n    f({n})\n' for n in range(2_000))
    error = f"Traceback (most recent call last):\n{frames}RecursionError: too deep\n"
    assert len(error) > 60_000
    assert await kind_of(connection, error) == "RecursionError: too deep"


@pytest.mark.parametrize("size", [500, 1_000_000])
@pytest.mark.parametrize(
    "part",
    [
        *(
            "'",
            '"',
            "`",
            "‘",
            "(",
            "<",
            "/",
            "\\",
            "…",
            "1,",
            "[0;",
            "\x1b[",
            "\x1b]",
            "\\x1b]",
            "a.",
            "a/",
        ),
        *(
            "\n",
            " \n",
            "\n'",
            'File "',
            '  File "a", line 1\n',
            "----> 1\n",
            "E: ",
            "Error in f(",
            "é",
            "<0x",
        ),
        *(
            "'\\",
            "<…",
            "a@b.",
            "C:\\a ",
            "/home/a",
            "\nCaused by",
            "  | ",
            "Exception Group Traceback\n",
        ),
    ],
)
async def test_no_error_costs_much(connection: asyncpg.Connection, part: str, size: int) -> None:
    chance = random.Random(size)
    texts = [part * (size // len(part)), "E: " + part * (size // len(part))]
    texts.append("".join(chance.choice([part, "a", " "]) for _ in range(size // 2)))
    await connection.execute("CREATE TEMP TABLE IF NOT EXISTS long (error text)")
    for text in texts:
        # By turns, and the least of each: a machine that is busy for a while adds to both or none.
        times = [
            (await time_of(connection, "word " * (size // 5)), await time_of(connection, text))
            for _ in range(3)
        ]
        usual, least = map(min, zip(*times, strict=True))
        assert least < MAX_COST * usual
        assert usual < MAX_USUAL


async def time_of(connection: asyncpg.Connection, error: str) -> float:
    """How long (s) it takes to find the kind of a stored error."""
    await connection.execute("TRUNCATE long")
    await connection.execute("INSERT INTO long VALUES ($1)", error)
    start = time.monotonic()
    kind = await connection.fetchval("SELECT normalised_error(error_excerpt(error)) FROM long")
    took = time.monotonic() - start
    assert 1 <= len(kind) <= 200
    return took


async def test_what_was_counted_before_is_counted_anew(postgres: Address) -> None:
    await apply_by_psql(postgres, FILES[:MIGRATION])
    connection = await asyncpg.connect(**postgres)
    try:
        messages = ["SyntaxError: invalid syntax (a.py, line 1)", "pkg.Odd: 'x'", None]
        async with connection.transaction():
            await connection.execute(STORE_NAMES)
            await connection.executemany(STORE_FAILURE, [(message,) for message in messages])
            await connection.execute(STORE_BATCH)
        await connection.execute("SELECT count_batches(10)")
        before = [row["error"] for row in await connection.fetch(COUNTED)]
        assert before == ["Error", "SyntaxError: invalid syntax (a.py, line …)", "pkg.Odd: …"]
        await connection.close()
        await apply_by_psql(postgres, FILES)
        connection = await asyncpg.connect(**postgres)
        students = await connection.fetchval("SELECT array_agg(student_id) FROM outbox_recounts")
        assert students == [1]
        await connection.execute("SELECT recount_students($1)", students)
        after = [row["error"] for row in await connection.fetch(COUNTED)]
        assert after == ["Error", "Odd: …", "SyntaxError: invalid syntax"]
    finally:
        await connection.close()


async def test_counting_reads_the_end_of_a_long_traceback(pool: asyncpg.Pool) -> None:
    error = (
        "Traceback (most recent call last):\n" + '  File "a.py", line 1, in f\n' * 400 + "Late: 1"
    )
    await sink_on(pool).write([make_event(failed=True, error=error)], deadline_soon())
    await pool.execute("SELECT count_batches(10)")
    assert [tuple(row) for row in await pool.fetch(COUNTED)] == [(1, "Late: …", 1)]
    await pool.execute("SELECT recount_students(ARRAY[1::bigint])")
    assert [tuple(row) for row in await pool.fetch(COUNTED)] == [(1, "Late: …", 1)]


# What the servers of that schema stored: today's can't write into it.
STORE_NAMES = """
    INSERT INTO students (id, user_id, has_events) VALUES (1, 'hanako', true);
    INSERT INTO notebooks (id, path, name, has_events) VALUES (1, 'a.ipynb', 'a.ipynb', true);
    INSERT INTO notebook_aliases (id, path, class_id, notebook_id) VALUES (1, 'a.ipynb', 0, 1);
    INSERT INTO cells (id, alias_id, cell_id) VALUES (1, 1, 'c');
    INSERT INTO student_states (student_id, class_id) VALUES (1, 0);
    SELECT ensure_partitions(now(), now());
"""
STORE_FAILURE = """
    INSERT INTO cell_executions (student_id, executed_at, event_id, received_at, event_type,
        alias_id, cell_id, status, error, metadata)
    VALUES (1, now(), gen_random_uuid(), now(), 'cell_executed', 1, 1, 'error', $1, '{}')
"""
STORE_BATCH = """
    INSERT INTO outbox_counts (received_at, student_ids, first_times, last_times)
    VALUES (now(), ARRAY[1], ARRAY[now()], ARRAY[now()])
"""
