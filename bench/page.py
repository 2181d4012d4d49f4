"""The teacher's page in Chromium: a lesson of 200 students at 100 events/s."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any

import httpx
import psutil
from playwright.async_api import Page

from bench.figures import Figure
from bench.server import monitor
from tests.support.browser import launch_chromium, open_tab

STUDENTS, RATE, COLUMNS = 200, 100, 20
WARM_UP, FRAME_SECONDS, MINUTES = 3.0, 15.0, 10
PAUSE = 2.0  # seconds between two calls for help whose way to the screen is measured
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
# When (ms, Unix) the first frame was drawn in which this student's seat was purple, or no longer.
# Waits without frames of its own: each costs the page memory.
SEE_CALL = """([id, isOpen]) => new Promise((done) => {
  const seat = document.querySelector(`.seats a[href$="/student/${id}"]`).parentElement;
  const look = () => {
    if ((seat.dataset.state === "help") !== isOpen) return;
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
        frames: float = await page.evaluate(COUNT_FRAMES, FRAME_SECONDS)
        delays = await _delays(page, client, students)
        memory = _memory()
    delay = quantiles(delays, n=20)[-1]
    while_ = f"{OF}, {MINUTES} min"
    return [
        Figure(
            "the page's frames",
            f"{frames:.0f}/s",
            f"{OF}, {FRAME_SECONDS:.0f} s",
            "–",
            "> 55/s",
            frames > LEAST_FRAMES,
        ),
        Figure(
            "from a request to the frame that shows it, p95",
            f"{delay:.0f} ms",
            f"{while_}, {len(delays)} calls for help",
            "–",
            "< 100 ms",
            delay < MOST_DELAY,
        ),
        Figure(
            "the page's own memory, without Chromium's code",
            f"{memory:.0f} MB",
            while_,
            "–",
            "< 120 MB",
            memory < MOST_MEMORY,
        ),
    ]


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
    return {
        "eventId": str(uuid.uuid4()),
        "eventType": "cell_executed",
        "eventTime": datetime.now(UTC).isoformat(),
        "userId": f"s{number % STUDENTS}",
        "notebookPath": "lesson.ipynb",
        "cellId": f"c{number // STUDENTS % 20}",
        "cellIndex": number // STUDENTS % 20,
        "hasError": number % 7 == 0,
        "errorMessage": "KeyError: 'x'" if number % 7 == 0 else None,
    }


async def _delays(
    page: Page, client: httpx.AsyncClient, students: list[dict[str, Any]]
) -> list[float]:
    """From before each request, a call for help or its end, to the frame that shows it (ms)."""
    delays: list[float] = []
    end = time.monotonic() + 60 * MINUTES
    while time.monotonic() < end:
        student = students[len(delays) // 2 % len(students)]
        is_open = len(delays) % 2 == 0
        seen = asyncio.create_task(page.evaluate(SEE_CALL, [student["student_id"], is_open]))
        await asyncio.sleep(PAUSE / 2)  # the page watches
        call = {
            "eventId": str(uuid.uuid4()),
            "eventType": "help" if is_open else "help_stop",
            "eventTime": datetime.now(UTC).isoformat(),
            "userId": student["user_id"],
        }
        start = time.time()
        (await client.post("/events", json=[call])).raise_for_status()
        async with asyncio.timeout(30):
            delays.append(await seen - 1000 * start)
        await asyncio.sleep(PAUSE / 2)
    return delays


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
