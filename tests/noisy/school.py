"""A school's server, and the class on it: what the others use, and what the attacker has."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec

from tests.support.lms import create, create_class
from tests.support.postgres import Address, environment_of, temporary_database
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token

STUDENTS = 40
ROUTER = "127.0.0.1"  # the school's address: the class is behind it, and so is the attacker
HOME = "127.0.2.1"  # of a teacher who is not at the school
ELSEWHERE = "127.0.0.66"  # the attacker's own
TEACHER, ATTACKER = "sensei", "mallory"
NOTEBOOKS = [f"units/レッスン {number}.ipynb" for number in (1, 2, 3)]  # those of the events


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the attacker knows: the server, and a student's credentials.

    `bearer` is a JWT, `own_token` an ingest token of that student alone, `key` the class's.
    """

    port: int
    bearer: str
    own_token: str
    key: str
    student_id: int
    class_id: int
    assignment_id: int
    notebook_id: int
    seconds: float


class School(NamedTuple):
    """A server with a class of 40, whose students have the user ids `students`.

    Those with a token of their own post with it, all from the school's address; the others with the
    class's key, each from an address of their own.
    """

    replica: Replica
    postgres: Address
    class_id: int
    assignment_id: int
    notebook_id: int
    key: str
    students: dict[str, int]
    own_tokens: dict[str, str]

    def target(self, seconds: float) -> Target:
        """For an attack that lasts so many seconds."""
        return Target(
            port=self.replica.port,
            bearer=token(ATTACKER),
            own_token=self.own_tokens[ATTACKER],
            key=self.key,
            student_id=self.students[ATTACKER],
            class_id=self.class_id,
            assignment_id=self.assignment_id,
            notebook_id=self.notebook_id,
            seconds=seconds,
        )

    @property
    def classmates(self) -> list[str]:
        """All but the attacker."""
        return [name for name in self.students if name != ATTACKER]


@asynccontextmanager
async def school(server: Address, data: Path, settings: Mapping[str, str]) -> AsyncIterator[School]:
    """A replica with a database of its own on that PostgreSQL; it keeps its files in `data`."""
    async with temporary_database(server) as address:
        environment = environment_of(address, data) | {"JWT_SECRET": SECRET} | dict(settings)
        with Replica(environment) as replica:
            yield await _furnish(replica, address)


async def _furnish(replica: Replica, postgres: Address) -> School:
    """The class, its roster, its assignment and its credentials."""
    names = [ATTACKER, *(f"student-{number}" for number in range(1, STUDENTS + 1))]
    async with client(replica.url, token(TEACHER, "instructor")) as api:
        class_id = (await create_class(api))["id"]
        notebooks = [
            (await create(api, "/notebooks", class_id=class_id, path=path))["id"]
            for path in NOTEBOOKS
        ]
        fields = {"title": "第1回", "class_id": class_id, "notebook_id": notebooks[0]}
        assignment = await create(api, "/assignments", **fields)
        key = await create(api, "/ingest-keys", name="class", class_id=class_id)
        roster = await api.post(
            f"/classes/{class_id}/students", json=[{"user_id": name} for name in names]
        )
        students = {line["user_id"]: line["student_id"] for line in roster.json()}
        return School(
            replica=replica,
            postgres=postgres,
            class_id=class_id,
            assignment_id=assignment["id"],
            notebook_id=notebooks[0],
            key=key["key"],
            students={name: students[name] for name in names},
            own_tokens=await _own_tokens(api, class_id, students),
        )


async def _own_tokens(
    api: httpx.AsyncClient, class_id: int, students: Mapping[str, int]
) -> dict[str, str]:
    """Of the attacker, and of every second classmate: while a token lives, the key is disputed."""
    with_token = [ATTACKER, *(f"student-{number}" for number in range(2, STUDENTS + 1, 2))]
    ids = {students[name]: name for name in with_token}
    answer = await api.post(f"/classes/{class_id}/tokens", json={"student_ids": list(ids)})
    assert answer.status_code == 201, answer.text
    issued: list[dict[str, Any]] = answer.json()
    return {ids[each["student_id"]]: each["token"] for each in issued}
