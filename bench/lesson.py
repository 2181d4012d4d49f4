"""Views of a lesson: 200 students at a notebook of 60 cells without ids, as JupyterLab sends it.

The lesson goes on meanwhile: each second EVENTS_PER_SECOND students run a cell again.
"""

import http.client
import json
import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from bench.asking import CALLS, ROUNDS, p95
from bench.figures import BenchError, Figure
from bench.server import Server, monitor
from bench.workload import EVENTS, STUDENTS, student

CELLS = 60
ADDS, OPENS_AGAIN = 3, 7  # of ten students the one who adds a cell, and the one who opens it again
GOAL_MS = 50
EVENTS_PER_SECOND = 20
WHAT = f"a class of {STUDENTS} at a notebook of {CELLS} cells without ids"
_NOTEBOOK = "lesson.ipynb"

REQUESTS = {
    WHAT: "/classes/1/notebooks/1/cells",
    "the same: the class now": "/classes/1/now",
    "the same: its errors": "/classes/1/errors",
    "the same: its calls for help": "/classes/1/help",
    "the same: progress in the assignment": "/assignments/1/progress",
    "the same: attempts at a cell": "/classes/1/notebooks/1/attempts?place=index:30",
    "the same: item analysis": "/assignments/1/analysis",
    "the same: the overview": "/overview",
}


async def measure() -> list[Figure]:
    with monitor() as server:
        fill_lesson(server.port, STUDENTS)
        with lesson_goes_on(server.port, STUDENTS):
            return [_figure(server, what, url) for what, url in REQUESTS.items()]


def fill_lesson(port: int, students: int) -> None:
    """Fills an empty server by its API; class, notebook and assignment have the id 1.

    JupyterLab gives a notebook of a format before 4.5 new ids each time it is opened: each student
    has ids of their own, and one of ten, who opens it again at the end, has others then. Everybody
    runs each cell twice, and fails in a third of them at first; one of seven never gets past those.
    Code is the student's own in every third cell. One of ten has added a cell at the top.
    """
    client = http.client.HTTPConnection("127.0.0.1", port)
    _post(client, "/api/v1/classes", {"name": "Lesson", "class_code": "lesson"})
    roster = [{"user_id": student(number), "role": "student"} for number in range(students)]
    _post(client, "/api/v1/classes/1/students", roster)
    for number in range(students):
        _post(client, f"{EVENTS}?class=lesson", list(_events(number)))
    _post(
        client,
        "/api/v1/assignments",
        {"class_id": 1, "notebook_id": 1, "title": "Lesson"},
    )
    client.close()


def _events(number: int) -> Iterator[dict[str, Any]]:
    begin = datetime.now(UTC) - timedelta(minutes=CELLS + 1)
    for opening in range(1 + (number % 10 == OPENS_AGAIN)):
        for cell in range(-(number % 10 == ADDS), CELLS):
            for attempt in range(2):
                failed = (number + cell) % 3 == 0 and (attempt == 0 or number % 7 == 0)
                at = begin + timedelta(minutes=cell + 1, seconds=10 * opening + 20 * attempt)
                yield _event(number, opening, cell, at, failed=failed)


def _event(number: int, opening: int, cell: int, at: datetime, *, failed: bool) -> dict[str, Any]:
    """The id of a cell is the same each time in one opening."""
    is_own = cell < 0 or cell % 3 == 1
    name = uuid.UUID(int=random.Random(f"{number} {opening} {cell}").getrandbits(128), version=4)
    return {
        "eventId": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "eventType": "cell_executed",
        "eventTime": at.isoformat(),
        "userId": student(number),
        "notebookPath": _NOTEBOOK,
        "cellId": str(name),
        "cellIndex": cell + (number % 10 == ADDS),
        "cellType": "code",
        "code": f"x = {number}, {cell}" if is_own else f"x = {cell}",
        "hasError": failed,
        "errorMessage": f"KeyError: {cell}" if failed else None,
        "executionDurationMs": 5 + cell,
    }


@contextmanager
def lesson_goes_on(port: int, students: int) -> Iterator[None]:
    """Meanwhile students run cells, one event in a request, EVENTS_PER_SECOND."""
    is_over, errors = threading.Event(), list[Exception]()

    def run() -> None:
        client = http.client.HTTPConnection("127.0.0.1", port)
        try:
            while not is_over.wait(1 / EVENTS_PER_SECOND):
                _post(client, f"{EVENTS}?class=lesson", [_another_run(random.randrange(students))])
        except (BenchError, OSError, http.client.HTTPException) as error:
            errors.append(error)
        finally:
            client.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if errors:
        raise errors[0]


def _another_run(number: int) -> dict[str, Any]:
    """A student runs one of the cells of their notebook once more, now."""
    opening = int(number % 10 == OPENS_AGAIN)
    cell = random.randrange(CELLS)
    at = datetime.now(UTC)
    return _event(number, opening, cell, at, failed=random.random() < 1 / 3)


def call_for_help(port: int, students: int) -> None:
    """One of twenty students does, for the half a minute that a call lasts without a heartbeat."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    calls = [
        {"eventType": "help", "userId": student(number), "notebookPath": _NOTEBOOK}
        for number in range(0, students, 20)
    ]
    _post(client, f"{EVENTS}?class=lesson", calls)
    client.close()


def _post(client: http.client.HTTPConnection, path: str, body: object) -> None:
    client.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = client.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise BenchError(f"{path} is answered {answer.status}: {text[:200]!r}")


def _figure(server: Server, what: str, url: str) -> Figure:
    rounds = []
    for _ in range(ROUNDS):
        call_for_help(server.port, STUDENTS)
        rounds.append(p95(server, lambda: url))
    value = median(rounds)
    return Figure(
        f"p95 of {what}",
        f"{value:.1f} ms",
        f"{CALLS} calls",
        "–",
        f"< {GOAL_MS} ms",
        value < GOAL_MS,
        notes=[f"{what}: {', '.join(f'{each:.1f}' for each in rounds)} ms"],
    )
