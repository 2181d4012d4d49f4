"""A hand-in costs the student who hands it in, and nobody else."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from monitor.lms.markdown import cells_as_json
from monitor.workers.job import Job, TooCostly
from monitor.workers.pool import Workers
from tests.support.fixtures import replica_fixture
from tests.support.lms import create_assignment, create_class, notebook
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token

STUDENTS = ("mallory", "hanako")
MAX_MEMORY = 400 * 1024 * 1024  # bytes in memory, of the server and its workers
MAX_WAIT = 0.5  # seconds, or twice what it takes alone
RENDER = Job(cells_as_json.__module__, cells_as_json.__name__, seconds=0.05)

guarded = replica_fixture("module", JWT_SECRET=SECRET)
doomed = replica_fixture("module", JWT_SECRET=SECRET)


class Class(NamedTuple):
    """A class with an assignment; each of its students has a client with their token."""

    replica: Replica
    assignment_id: int
    mallory: httpx.AsyncClient
    hanako: httpx.AsyncClient

    async def hand_in(self, by: httpx.AsyncClient, content: bytes) -> httpx.Response:
        name = STUDENTS[by is self.hanako]
        start = b'{"assignment_id":%d,"user_id":"%b"' % (self.assignment_id, name.encode())
        body = b'%b,"notebook_content":%b}' % (start, content)
        return await by.post(
            "/submissions", content=body, headers={"Content-Type": "application/json"}
        )

    def workers(self) -> list[psutil.Process]:
        assert self.replica.process
        return workers_of(self.replica.process.pid)


def workers_of(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children()
    return [each for each in children if "monitor.workers.process" in each.cmdline()]


@pytest.fixture
async def lesson(guarded: Replica) -> AsyncIterator[Class]:
    async with open_class(guarded) as lesson:
        yield lesson


@asynccontextmanager
async def open_class(replica: Replica) -> AsyncIterator[Class]:
    mallory, hanako = (client(replica.url, token(name)) for name in STUDENTS)
    async with client(replica.url, token("root", "admin")) as admin, mallory, hanako:
        class_id = (await create_class(admin))["id"]
        rows = [{"user_id": name} for name in STUDENTS]
        answer = await admin.post(f"/classes/{class_id}/students", json=rows)
        assert answer.status_code == 201, answer.text
        assignment = await create_assignment(admin, class_id=class_id)
        yield Class(replica, assignment["id"], mallory, hanako)


def hostile(size: int) -> bytes:
    """A notebook that takes as long to read as one of this many bytes can."""
    values = b",".join([b'"NaN",NaN'] * (size // 10))
    return json.dumps(notebook("x")).encode()[:-1] + b',"x":[%b]}' % values


def with_outputs(count: int) -> bytes:
    """A notebook whose outputs each have an error."""
    outputs = [{"output_type": "stream", "name": "a", "text": [1]}] * count
    cell = notebook("x", kind="code")
    cell["cells"][0] |= {"outputs": outputs, "execution_count": None}
    return json.dumps(cell).encode()


async def timed(lesson: Class, content: bytes) -> float:
    start = time.perf_counter()
    answer = await lesson.hand_in(lesson.hanako, content)
    assert answer.status_code == 201, answer.text
    return time.perf_counter() - start


async def test_costly_hand_ins_of_one_student_hold_up_no_classmate(lesson: Class) -> None:
    content = json.dumps(notebook("x" * 1000, "y" * 100_000)).encode()
    await timed(lesson, content)  # starts a worker
    await asyncio.sleep(1)
    alone = max([await timed(lesson, content) for _ in range(5)])
    attack = [
        asyncio.create_task(lesson.hand_in(lesson.mallory, each))
        for each in [with_outputs(10_000), hostile(400_000)] * 6
    ]
    await asyncio.sleep(0.1)
    beside = sorted([await timed(lesson, content) for _ in range(5)])
    memory = psutil.Process(lesson.replica.process.pid).memory_info().rss  # type: ignore[union-attr]
    memory += sum(each.memory_info().rss for each in lesson.workers())
    statuses = {answer.status_code for answer in await asyncio.gather(*attack)}
    assert statuses <= {201, 429}
    assert beside[2] < max(2 * alone, MAX_WAIT), (alone, beside)
    assert memory < MAX_MEMORY


async def test_a_worker_that_is_killed_costs_its_own_job_alone(lesson: Class) -> None:
    task = asyncio.create_task(lesson.hand_in(lesson.mallory, hostile(9_000_000)))
    busy: list[psutil.Process] = []
    while not busy and not task.done():
        await asyncio.sleep(0.01)
        busy = [each for each in lesson.workers() if each.memory_info().rss > 30 * 2**20]
    for each in busy:
        each.send_signal(signal.SIGKILL)
    answer = await task
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"]
    again = await lesson.hand_in(lesson.mallory, with_outputs(1_000))
    assert again.status_code == 201, again.text


async def test_a_job_that_takes_too_long_is_ended() -> None:
    formula = "$" + r"\frac{" * 50 + "x" + "}{y}" * 50 + "$ "
    content: dict[str, Any] = notebook(formula * 140)
    workers = Workers()
    try:
        with pytest.raises(TooCostly, match="takes too long"):
            await workers.run("ann", RENDER, json.dumps(content).encode())
        answer = await workers.run("ann", RENDER._replace(seconds=5), b'{"cells":[]}')
        assert answer == b"[]"
    finally:
        await workers.stop(0)


async def test_a_minor_version_of_the_future_is_taken(lesson: Class) -> None:
    for minor in (1000, 10**30):
        content = json.dumps(notebook("x") | {"nbformat_minor": minor}).encode()
        answer = await lesson.hand_in(lesson.hanako, content)
        assert answer.status_code == 201, answer.text
        (found,) = answer.json()["irregularities"]
        assert "newer than 4.5" in found["finding"]


async def test_workers_end_with_a_server_that_is_killed(doomed: Replica) -> None:
    async with open_class(doomed) as lesson:
        answer = await lesson.hand_in(lesson.hanako, with_outputs(1_000))
        assert answer.status_code == 201, answer.text
        workers = lesson.workers()
        assert workers
        doomed.stop(signal.SIGKILL)
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive
