"""The teacher's page in Chromium: a lesson of 200 students at 100 events/s."""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import psutil
from playwright.async_api import Page

from bench.figures import Figure, percentile
from bench.server import monitor
from tests.support.browser import launch_chromium, open_tab

STUDENTS, RATE, COLUMNS = 200, 100, 20
WARM_UP, FRAME_SECONDS = 3.0, 15.0
MINUTES = float(os.environ.get("PAGE_MINUTES", "10"))
APART = 10  # students whom the load leaves alone, so that each run of theirs changes their seat
PAUSE = 1.0  # seconds between two events whose way to the screen is measured
LEAST_FRAMES, MOST_MEMORY, MOST_DELAY = 55.0, 120.0, 100.0  # a second; MB; ms
OF = f"{STUDENTS} seats, {RATE} events/s"
COUNT_FRAMES = """seconds => new Promise((done) => {
  const start = performance.now();
  let frames = 0;
  const frame = (now) => {
    frames += 1;
    if (now - start < seconds * 1000) requestAnimationFrame(frame);
    else done((1000 * frames) / (now - start));
  };
  requestAnimationFrame(frame);
})"""
# When (ms, Unix) the first frame was drawn in which this student's seat had this state, or no
# longer had it. Waits without frames of its own: each costs the page memory.
SEE_STATE = """([id, state, isIn]) => new Promise((done) => {
  const seat = document.querySelector(`.seats a[href$="/student/${id}"]`).parentElement;
  const look = () => {
    if ((seat.dataset.state === state) !== isIn) return;
    observer.disconnect();
    requestAnimationFrame(() => done(performance.timeOrigin + performance.now()));
  };
  const observer = new MutationObserver(look);
  observer.observe(seat, { attributeFilter: ["data-state"] });
  look();
})"""


async def measure() -> list[Figure]:
    async with _lesson() as (page, client, students):
        await asyncio.sleep(WARM_UP)
        first: float = await page.evaluate(COUNT_FRAMES, FRAME_SECONDS)
        calls, runs = await _delays(page, client, students)
        last: float = await page.evaluate(COUNT_FRAMES, FRAME_SECONDS)
        memory = _memory()
    while_ = f"{OF}, {MINUTES:g} min"
    return [
        _frames("the page's frames", first, f"{OF}, {FRAME_SECONDS:.0f} s"),
        _frames("the page's frames at the end", last, f"after {while_}"),
        _shown("a call for help", calls, while_),
        _shown("a run", runs, while_),
        Figure(
            "the page's own memory, without Chromium's code",
            f"{memory:.0f} MB",
            while_,
            "–",
            f"< {MOST_MEMORY:.0f} MB",
            memory < MOST_MEMORY,
        ),
    ]


def _frames(what: str, frames: float, of: str) -> Figure:
    return Figure(
        what, f"{frames:.0f}/s", of, "–", f"> {LEAST_FRAMES:.0f}/s", frames > LEAST_FRAMES
    )


def _shown(what: str, delays: list[float], of: str) -> Figure:
    delay = percentile(delays, 0.95)
    return Figure(
        f"from the request of {what} to the frame that shows it, p95",
        f"{delay:.0f} ms",
        f"{of}, {len(delays)} of them",
        "–",
        f"< {MOST_DELAY:.0f} ms",
        delay < MOST_DELAY,
    )


@asynccontextmanager
async def _lesson() -> AsyncIterator[tuple[Page, httpx.AsyncClient, list[dict[str, Any]]]]:
    with monitor() as server:
        url = f"http://127.0.0.1:{server.port}"
        async with (
            httpx.AsyncClient(base_url=f"{url}/api/v1") as client,
            launch_chromium() as browser,
        ):
            class_id = await _enrol(client)
            load = asyncio.create_task(_load(client))
            try:
                async with open_tab(browser, f"{url}/#/class/{class_id}/lesson") as page:
                    await page.set_viewport_size({"width": 1920, "height": 1080})
                    await page.locator(".seats .seat a").nth(STUDENTS - 1).wait_for()
                    students = (await client.get(f"/classes/{class_id}/now?limit=500")).json()
                    yield page, client, students
            finally:
                load.cancel()


async def _enrol(client: httpx.AsyncClient) -> int:
    class_id: int = (
        await client.post("/classes", json={"name": "200", "class_code": "200"})
    ).json()["id"]
    rows = [
        {
            "user_id": f"s{n}",
            "name": f"学生 {n}",
            "team": f"{n % 20}",
            "seat": f"{chr(65 + n // COLUMNS)}{1 + n % COLUMNS}",
        }
        for n in range(STUDENTS)
    ]
    (await client.post(f"/classes/{class_id}/students", json=rows)).raise_for_status()
    notebook = {"class_id": class_id, "path": "lesson.ipynb"}
    notebook_id = (await client.post("/notebooks", json=notebook)).json()["id"]
    assignment = {"class_id": class_id, "title": "Lesson", "notebook_id": notebook_id}
    (await client.post("/assignments", json=assignment)).raise_for_status()
    return class_id


async def _load(client: httpx.AsyncClient) -> None:
    """One event per request, in an open loop, of student after student."""
    start = time.monotonic()
    posts: set[asyncio.Task[httpx.Response]] = set()
    for number in range(10**6):
        await asyncio.sleep(max(0.0, start + number / RATE - time.monotonic()))
        posts.add(post := asyncio.create_task(client.post("/events", json=[_event(number)])))
        post.add_done_callback(posts.discard)


def _event(number: int) -> dict[str, Any]:
    turn, student = divmod(number, STUDENTS - APART)
    return _run(f"s{student}", turn % 20, has_failed=number % 7 == 0)


def _run(user_id: str, cell: int, *, has_failed: bool) -> dict[str, Any]:
    return _of(user_id, "cell_executed") | {
        "notebookPath": "lesson.ipynb",
        "cellId": f"c{cell}",
        "cellIndex": cell,
        "hasError": has_failed,
        "errorMessage": "KeyError: 'x'" if has_failed else None,
    }


def _of(user_id: str, kind: str) -> dict[str, Any]:
    return {
        "eventId": str(uuid.uuid4()),
        "eventType": kind,
        "eventTime": datetime.now(UTC).isoformat(),
        "userId": user_id,
    }


async def _delays(
    page: Page, client: httpx.AsyncClient, students: list[dict[str, Any]]
) -> tuple[list[float], list[float]]:
    """From before each request to the frame that shows it (ms): of calls for help, and of runs.

    A call and its end take turns, and so do a run that fails and one that succeeds.
    """
    by_id = {each["user_id"]: each["student_id"] for each in students}
    calls: list[float] = []
    runs: list[float] = []
    end = time.monotonic() + 60 * MINUTES
    while time.monotonic() < end:
        turn, is_first = len(calls) // 2, len(calls) % 2 == 0
        user = f"s{turn % (STUDENTS - APART)}"
        event = _of(user, "help" if is_first else "help_stop")
        calls.append(await _delay(page, client, event, [by_id[user], "help", is_first]))
        user = f"s{STUDENTS - APART + turn % APART}"
        event = _run(user, turn % 20, has_failed=is_first)
        runs.append(await _delay(page, client, event, [by_id[user], "error", is_first]))
    return calls, runs


async def _delay(
    page: Page, client: httpx.AsyncClient, event: dict[str, Any], sight: list[Any]
) -> float:
    seen = asyncio.create_task(page.evaluate(SEE_STATE, sight))
    await asyncio.sleep(PAUSE / 2)  # the page watches
    start = time.time()
    (await client.post("/events", json=[event])).raise_for_status()
    async with asyncio.timeout(30):
        delay: float = await seen - 1000 * start
    await asyncio.sleep(PAUSE / 2)
    return delay


def _memory() -> float:
    """What the process that draws the page has written to memory of its own (MB).

    Chromium counts a page's memory so. Pages of its program file are counted for a process that
    happens to be the only one which has read them: 45 MB here, 5 beside another browser.
    """
    sizes = [
        sum(each.private_dirty + each.swap for each in process.memory_maps()) / 1e6
        for process in psutil.Process().children(recursive=True)
        if "--type=renderer" in process.cmdline()
    ]
    return max(sizes)
