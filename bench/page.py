"""The teacher's page in Chromium: 200 students at 100 events/s."""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import psutil

from bench.figures import Figure
from bench.server import monitor
from tests.support.browser import launch_chromium, open_tab

STUDENTS, RATE, WARM_UP, SECONDS = 200, 100, 3.0, 15.0
LEAST_FRAMES, MOST_MEMORY = 30.0, 150.0  # a second; MB
OF = f"{STUDENTS} tiles, {RATE} events/s, {SECONDS:.0f} s"
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


async def measure() -> list[Figure]:
    with monitor() as server:
        url = f"http://127.0.0.1:{server.port}"
        async with (
            httpx.AsyncClient(base_url=f"{url}/api/v1") as client,
            launch_chromium() as browser,
        ):
            class_id = await _enrol(client)
            load = asyncio.create_task(_load(client))
            async with open_tab(browser, f"{url}/#/class/{class_id}") as page:
                await page.locator(".tile").nth(STUDENTS - 1).wait_for()
                await asyncio.sleep(WARM_UP)
                frames: float = await page.evaluate(COUNT_FRAMES, SECONDS)
                memory = _memory()
            load.cancel()
    shown = f"{frames:.0f}/s"
    return [
        Figure("the page's frames", shown, OF, "–", "> 30/s", frames > LEAST_FRAMES),
        Figure(
            "the page's own memory, without what Chromium shares",
            f"{memory:.0f} MB",
            OF,
            "–",
            "< 150 MB",
            memory < MOST_MEMORY,
        ),
    ]


async def _enrol(client: httpx.AsyncClient) -> int:
    class_id: int = (
        await client.post("/classes", json={"name": "200", "class_code": "200"})
    ).json()["id"]
    rows = [{"user_id": f"s{n}", "name": f"学生 {n}", "team": f"{n % 20}"} for n in range(STUDENTS)]
    (await client.post(f"/classes/{class_id}/students", json=rows)).raise_for_status()
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


def _memory() -> float:
    """Of the process that draws the page (MB)."""
    sizes = [
        process.memory_full_info().uss / 1e6
        for process in psutil.Process().children(recursive=True)
        if "--type=renderer" in process.cmdline()
    ]
    return max(sizes)
