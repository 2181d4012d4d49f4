"""What the decoder accepts PostgreSQL stores: odd bodies from fixed seeds, decoded and written."""

import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from monitor.errors import InvalidBody
from monitor.events.decoding import CELL_MONITOR, EVENT_DIALECTS, Dialect, decode
from monitor.events.dialects import as_json
from monitor.events.event import Event, Source
from tests.support.factories import deadline_soon
from tests.support.sinks import sink_on

BODIES = 60  # for each seed and dialect
ITEMS = 8  # of a body
KINDS = (
    "cell_executed",
    "cell_error",
    "help",
    "notebook_open",
    "session_start",
    "session_end",
    "x",
)
FIELDS = [
    "userName",
    "emailAddress",
    "teamName",
    "sessionId",
    "notebookPath",
    "cellId",
    "cellIndex",
    "cellType",
    "code",
    "executionCount",
    "hasError",
    "errorMessage",
    "result",
    "classCode",
    "executionDurationMs",
    "eventTime",
    "eventId",
    "unknown",
    "pictures",
    "cut",
]
SNAKE = {
    "event_time": "timestamp",
    "user_id": "student_id",
    "success": "success",
    "error": "error",
    "output": "output",
    "duration_ms": "duration_ms",
}
LEGACY = [
    "notebookPath",
    "cellId",
    "cellIndex",
    "cellType",
    "cellContent",
    "outputs",
    "executionCount",
    "executionTime",
    "executionStatus",
    "timestamp",
    "eventId",
    "classCode",
    "unknown",
]
CHARACTERS = [
    "\\u0000",
    "\\ud800",
    "\\udfff",
    "\\udbff\\udfff",
    "\\ud83d\\ude00",
    "\\uFFFF",
    "\\u0041",
    "\\\\",
    '\\"',
    "\\n",
    "\\/",
    "\\\\u0000",
    "𝅗𝅥",
    "שּׁ",
    "क़",
    "\uffff",
    "花",
    "\x7f",
    "\u2028",
    "e",
    "E",
    "0",
    "9",
    "/",
    "\\\\ud800",
    "\u202e",
    "à",
]


def number(rng: random.Random) -> str:
    """A number by JSON's grammar, often at a limit of PostgreSQL's numeric."""
    sign = rng.choice(["", "-"])
    whole = rng.choice(["0", "1", "9", "1" + "0" * rng.choice([5, 18, 19, 20, 308, 4299, 4300])])
    if rng.random() < 0.05:
        whole = "9" * rng.choice([999, 1000, 4301, 131_071, 131_072, 131_073])
    fraction = rng.choice(["", "", ".0", ".5", "." + "0" * rng.choice([300, 999, 1000]) + "1"])
    if rng.random() < 0.05:
        fraction = "." + "0" * rng.choice([16_381, 16_382, 16_383, 16_384]) + "1"
    limit = rng.choice([9, 99, 100, 307, 308, 324, 400, 1000, 16_383, 16_384, 131_071, 131_072])
    limit = rng.choice([limit, limit, 2**30 - 1, 2**30, 2**31, 2**63, 10**30, 2_000_000_000])
    exponent = rng.choice(["", "", "", rng.choice("eE") + rng.choice(["", "+", "-"]) + str(limit)])
    return sign + whole + fraction + exponent


def text(rng: random.Random) -> str:
    length = rng.choice([0, 1, 3, 9, 100, 511, 512, 513])
    return '"' + "".join(rng.choices(CHARACTERS, k=length)) + '"'


def value(rng: random.Random, depth: int = 0) -> str:
    kind = rng.random()
    if kind < 0.35:
        return number(rng)
    if kind < 0.6:
        return text(rng)
    if kind < 0.7:
        return rng.choice(["null", "true", "false", "NaN", "-Infinity", '"NaN"', '"1e400"', '""'])
    if kind < 0.72:
        nested = rng.choice([10, 200, 900])
        return rng.choice(['{"a":', "["]) * nested
    size = rng.choice([0, 1, 2, 3]) if depth < 3 else 0
    if kind < 0.86:
        return "[" + ",".join(value(rng, depth + 1) for _ in range(size)) + "]"
    parts = [f"{text(rng)}:{value(rng, depth + 1)}" for _ in range(size)]
    return "{" + ",".join(parts + parts[:1]) + "}"  # the first key twice


def closed(text: str) -> str:
    """The text with what closes a long nesting: `value` only opens it."""
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        for depth in (900, 200, 10):
            text = text.replace(opening * depth, opening * depth + "1" + closing * depth)
    return text


def time(rng: random.Random) -> str:
    now = datetime.now(UTC).isoformat()
    odd = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "1e18", "1e400"]
    return rng.choice([f'"{now}"', f'"{now}"', *(f'"{each}"' for each in odd), "1e18", "-1", "0"])


def item(rng: random.Random, names: list[str], first: dict[str, str]) -> str:
    fields = dict(first)
    for name in rng.sample(names, rng.choice([0, 2, 5, len(names)])):
        fields[name] = time(rng) if name in ("eventTime", "timestamp") else value(rng)
    if rng.random() < 0.7:
        fields["metadata"] = "{" + f"{text(rng)}:{value(rng)},{text(rng)}:{number(rng)}" + "}"
    return "{" + ",".join(f'"{name}":{each}' for name, each in fields.items()) + "}"


def camel(rng: random.Random) -> str:
    return item(rng, FIELDS, {"eventType": f'"{rng.choice(KINDS)}"', "userId": '"hanako"'})


def snake(rng: random.Random) -> str:
    names = [SNAKE.get(name, name) for name in ("event_time", *SNAKE, "session_id", "cell_id")]
    names += ["notebook_path", "code", "unknown", "cell_index", "execution_count"]
    first = {"event_type": f'"{rng.choice(KINDS)}"', "student_id": '"hanako"'}
    return item(rng, list(set(names) - {"student_id"}), first)


def legacy(rng: random.Random) -> str:
    return item(rng, LEGACY, {"userId": '"hanako"'})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("make", "dialects"),
    [(camel, EVENT_DIALECTS), (snake, EVENT_DIALECTS), (legacy, (CELL_MONITOR,))],
    ids=["camel", "snake", "legacy"],
)
async def test_what_is_decoded_is_stored(
    pool: asyncpg.Pool,
    make: Callable[[random.Random], str],
    dialects: tuple[Dialect, ...],
    seed: int,
) -> None:
    rng, sink = random.Random(f"{make.__name__} {seed}"), sink_on(pool)
    accepted = 0
    for _ in range(BODIES):
        body = closed("[" + ",".join(make(rng) for _ in range(ITEMS)) + "]")
        try:
            events = decode(body.encode(), datetime.now(UTC), 100, dialects).events
        except InvalidBody:
            continue
        accepted += len(events)
        await sink.write(events, deadline_soon(30))
    assert accepted > BODIES * ITEMS / 20  # how many depends on the time of day, too
    rows = await pool.fetchval("SELECT sum(stored) FROM ledger")
    assert rows > accepted / 2  # the others are equal, and were sent without an id


LIMITS = (
    [f"{sign}{whole}e{exponent}" for sign in ("", "-") for whole in ("0", "0.0", "1", "0.00001")
     for exponent in (307, 308, 309, 400, 16_382, 16_383, 16_384, 131_071, 131_072, 2**30 - 1,
                      2**30, 2_000_000_000, 2**31, 2**63, "9" * 5_000)
     for exponent in (exponent, f"-{exponent}")]
    + ["9" * length for length in (999, 1_000, 4_300, 4_301, 131_072, 131_073)]
    + [f"0.{'0' * length}1" for length in (999, 1_000, 16_381, 16_382, 16_383, 16_384)]
    + ["-0", "-0.0", "-0e0", "0E+0", str(2**64), str(-(2**63) - 1), "1e-7", "5e-324", "1e-400"]
)  # fmt: skip


@pytest.mark.parametrize("wrapped", ["{}", "[{}]", '{{"k":{}}}', '[1,{{"k":[{}]}}]'])
async def test_every_number_is_stored_or_left_out(pool: asyncpg.Pool, wrapped: str) -> None:
    now, sink = datetime.now(UTC), sink_on(pool)
    items = [
        f'{{"eventType":"x","userId":"u","metadata":{{"room":7,"n":{wrapped.format(number)}}}}}'
        for number in LIMITS
    ]
    events, _ = decoded = _all(f"[{','.join(items)}]", now, len(items))
    assert decoded[1] == []
    await sink.write(events, deadline_soon(30))
    rows = await pool.fetch("SELECT metadata FROM events")
    assert len(rows) == len(LIMITS)
    assert all(
        json.loads(row["metadata"], parse_int=str, parse_float=str)["room"] == "7" for row in rows
    )


def _all(body: str, now: datetime, count: int) -> tuple[list[Event], list[Any]]:
    payload = decode(body.encode(), now, count)
    return payload.events, payload.rejected


def test_a_number_of_a_usual_size_is_left_as_it_is() -> None:
    for usual in ("1e308", "0e0", "-0", "1E-300", "1" * 4_000, f"0.{'0' * 16_000}1", str(2**64)):
        body = f'[{{"eventType":"x","userId":"u","metadata":{{"n":{usual}}}}}]'
        ((event,), _) = _all(body, datetime.now(UTC), 1)
        assert event.metadata == f'{{"n":{usual}}}'


@pytest.mark.parametrize("character", ["\U0001d15e", "\ufb2c", "\u0958", "花", "\U0001f600"])
async def test_the_longest_names_fit_their_indexes(pool: asyncpg.Pool, character: str) -> None:
    rng = random.Random(character)
    alphabet = [character, "\ufb2c", "\U0001d15e", "\U0001d160", *map(chr, range(0xFB2A, 0xFB37))]
    long = ["".join(rng.choices(alphabet, k=512)) for _ in range(5)]
    names = ("userId", "sessionId", "notebookPath", "cellId", "userName")
    fields: dict[str, Any] = dict(zip(names, long, strict=True))
    fields |= {"eventType": "cell_executed", "eventId": str(uuid.uuid4())}
    source = Source(credential="person " + long[0])
    events = decode(json.dumps([fields]).encode(), datetime.now(UTC), 1, source=source).events
    assert len((await sink_on(pool).write(events, deadline_soon())).events) == 1
    assert json.loads(as_json(events[0]))["sessionId"] == long[1]
