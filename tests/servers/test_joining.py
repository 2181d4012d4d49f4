"""Joining a class with its key: policies and their bounds, also under races, and refusals."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tests.support.lms import unique

KEY = "key 7"


async def make_class(connection: asyncpg.Pool, **fields: Any) -> int:
    columns = {"class_code": unique("C"), "name": "数学", **fields}
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    created: int = await connection.fetchval(
        f"INSERT INTO classes ({', '.join(columns)}) VALUES ({places}) RETURNING id",
        *columns.values(),
    )
    return created


async def make_students(connection: asyncpg.Pool, count: int) -> list[int]:
    names = [unique("s") for _ in range(count)]
    rows = await connection.fetch(
        "INSERT INTO students (user_id) SELECT unnest($1::text[]) RETURNING id", names
    )
    return [row["id"] for row in rows]


async def enrol(connection: asyncpg.Pool, class_id: int, role: str, *students: int) -> None:
    await connection.execute(
        """INSERT INTO student_classes (class_id, student_id, role)
        SELECT $1, unnest($2::bigint[]), $3""",
        class_id,
        students,
        role,
    )


async def join(
    connection: Any, class_id: int, students: Sequence[int], credential: str = KEY
) -> dict[int, str]:
    rows = await connection.fetch(
        "SELECT * FROM join_class($1, $2, $3)", class_id, students, credential
    )
    assert len(rows) == len(set(students))
    return {row["student_id"]: row["outcome"] for row in rows}


async def roles(connection: asyncpg.Pool, class_id: int) -> Counter[str]:
    rows = await connection.fetch("SELECT role FROM student_classes WHERE class_id = $1", class_id)
    return Counter(row["role"] for row in rows)


async def test_an_open_class_takes_new_names_once(pool: asyncpg.Pool) -> None:
    class_id, students = await make_class(pool), await make_students(pool, 3)
    expected = dict.fromkeys(students, "student")
    assert await join(pool, class_id, [*students, students[0]]) == expected
    assert await join(pool, class_id, students) == expected
    rows = await pool.fetch("SELECT joined_by FROM student_classes WHERE class_id = $1", class_id)
    assert [row["joined_by"] for row in rows] == [KEY] * 3


async def test_beyond_the_names_of_a_day_they_wait(pool: asyncpg.Pool) -> None:
    class_id = await make_class(pool, max_new_names=3)
    listed, *students = await make_students(pool, 6)
    await enrol(pool, class_id, "student", listed)  # does not count
    first = await join(pool, class_id, [listed, *students[:2]])
    assert first == {listed: "student", students[0]: "student", students[1]: "student"}
    second = await join(pool, class_id, students[2:])
    assert second == {students[2]: "student", students[3]: "waiting", students[4]: "waiting"}
    # They go on waiting on the next day, when three others may join.
    await pool.execute("UPDATE student_classes SET joined_at = joined_at - interval '1 day'")
    assert await join(pool, class_id, students[3:]) == dict.fromkeys(students[3:], "waiting")
    others = await make_students(pool, 4)
    outcomes = await join(pool, class_id, others)
    assert [outcomes[each] for each in others] == ["student"] * 3 + ["waiting"]


async def test_a_class_that_approves_lets_all_wait_up_to_a_bound(pool: asyncpg.Pool) -> None:
    class_id = await make_class(pool, join_policy="approve")
    students = await make_students(pool, 502)
    outcomes = await join(pool, class_id, students)
    assert [outcomes[each] for each in students] == ["waiting"] * 500 + ["too_many_waiting"] * 2
    late = students[-1]
    assert await join(pool, class_id, [late]) == {late: "too_many_waiting"}
    assert await join(pool, class_id, [late], "key 8") == {late: "waiting"}  # another credential
    assert await roles(pool, class_id) == {"waiting": 501}


async def test_by_the_roster_nobody_joins(pool: asyncpg.Pool) -> None:
    class_id = await make_class(pool, join_policy="roster")
    listed, other = await make_students(pool, 2)
    await enrol(pool, class_id, "student", listed)
    assert await join(pool, class_id, [other, listed]) == {
        listed: "student",
        other: "not_on_roster",
    }
    assert await roles(pool, class_id) == {"student": 1}


@pytest.mark.parametrize("policy", ["open", "approve", "roster"])
async def test_staff_and_the_removed_are_never_enrolled(pool: asyncpg.Pool, policy: str) -> None:
    class_id = await make_class(pool, join_policy=policy)
    teacher, assistant, removed = await make_students(pool, 3)
    await enrol(pool, class_id, "teacher", teacher)
    await enrol(pool, class_id, "assistant", assistant)
    await pool.execute(
        "INSERT INTO class_removals (student_id, class_id, removed_by) VALUES ($1, $2, 'ann')",
        removed,
        class_id,
    )
    assert await join(pool, class_id, [teacher, assistant, removed]) == {
        teacher: "staff",
        assistant: "staff",
        removed: "removed",
    }
    assert await roles(pool, class_id) == {"teacher": 1, "assistant": 1}


@pytest.mark.parametrize("role", ["teacher", "assistant"])
async def test_the_staff_of_another_class_waits(pool: asyncpg.Pool, role: str) -> None:
    class_id, other = await make_class(pool), await make_class(pool)
    staff, student = await make_students(pool, 2)
    await enrol(pool, other, role, staff)
    await enrol(pool, other, "student", student)
    assert await join(pool, class_id, [staff, student]) == {staff: "waiting", student: "student"}


async def test_nobody_joins_a_class_that_is_deleted(pool: asyncpg.Pool) -> None:
    students = await make_students(pool, 1)
    assert await join(pool, 999_999, students) == {students[0]: "removed"}


async def test_fifty_at_once_do_not_exceed_the_names_of_a_day(pool: asyncpg.Pool) -> None:
    class_id = await make_class(pool, max_new_names=10)
    students = await make_students(pool, 50)
    outcomes = await asyncio.gather(*(join(pool, class_id, [each]) for each in students))
    assert Counter(value for each in outcomes for value in each.values()) == {
        "student": 10,
        "waiting": 40,
    }
    assert await roles(pool, class_id) == {"student": 10, "waiting": 40}


async def test_calls_of_the_same_names_and_a_roster_do_not_deadlock(pool: asyncpg.Pool) -> None:
    class_id, students = await make_class(pool), await make_students(pool, 300)
    backwards = students[::-1]

    async def put_on_roster(ids: list[int]) -> None:
        await pool.execute(
            """INSERT INTO student_classes (class_id, student_id)
            SELECT $1, id FROM unnest($2::bigint[]) AS id ORDER BY id
            ON CONFLICT (student_id, class_id) DO UPDATE SET role = EXCLUDED.role""",
            class_id,
            ids,
        )

    await asyncio.gather(
        *(join(pool, class_id, ids) for ids in (students, backwards) for _ in range(5)),
        *(put_on_roster(students) for _ in range(5)),
    )
    assert await roles(pool, class_id) == {"student": 300}


async def note(connection: asyncpg.Pool, class_id: int, counts: dict[str, int]) -> None:
    await connection.execute(
        "SELECT note_refusals($1, 'not_on_roster', $2, $3)",
        class_id,
        list(counts),
        list(counts.values()),
    )


async def refusals(connection: asyncpg.Pool, class_id: int) -> dict[str, int]:
    rows = await connection.fetch(
        "SELECT user_id, events FROM class_refusals WHERE class_id = $1", class_id
    )
    return {row["user_id"]: row["events"] for row in rows}


async def test_refusals_add_up_by_id(pool: asyncpg.Pool) -> None:
    class_id = await make_class(pool)
    await note(pool, class_id, {"a": 2, "b": 1})
    await pool.execute("UPDATE class_refusals SET first_at = first_at - interval '1 hour'")
    await note(pool, class_id, {"b": 3})
    assert await refusals(pool, class_id) == {"a": 2, "b": 4}
    span = await pool.fetchval(
        "SELECT last_at - first_at FROM class_refusals WHERE class_id = $1 AND user_id = 'b'",
        class_id,
    )
    assert span >= timedelta(hours=1)
    await note(pool, 999_999, {"a": 1})  # a class that is deleted
    assert await refusals(pool, 999_999) == {}


async def test_beyond_a_bound_ids_are_counted_together(pool: asyncpg.Pool) -> None:
    class_id = await make_class(pool)
    await note(pool, class_id, {f"s{n:04}": 1 for n in range(999)})
    await note(pool, class_id, {"a": 1, "b": 2, "c": 4, "s0000": 8})
    counts = await refusals(pool, class_id)
    assert len(counts) == 1001
    assert (counts["a"], counts[""], counts["s0000"]) == (1, 6, 9)
    await note(pool, class_id, {"d": 8, "a": 1})
    counts = await refusals(pool, class_id)
    assert (counts["a"], counts[""]) == (2, 14)


async def test_concurrent_refusals_do_not_deadlock(pool: asyncpg.Pool) -> None:
    class_id = await make_class(pool)
    names = [f"s{n}" for n in range(200)]
    orders = [names, names[::-1]] * 10
    await asyncio.gather(*(note(pool, class_id, dict.fromkeys(order, 1)) for order in orders))
    assert await refusals(pool, class_id) == dict.fromkeys(names, 20)
