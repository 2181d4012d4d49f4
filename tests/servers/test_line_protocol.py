"""The points of events, written to a real InfluxDB and read back."""

from typing import Any

import httpx
import pytest

from monitor.events.event import Event
from monitor.timeseries.line_protocol import line
from tests.support.factories import make_event
from tests.support.servers import InfluxServer

BUCKET = "lines"
NASTY = [
    "a,b",
    "a b",
    " a ",
    "a=b",
    'say "hi"',
    "it's",
    r"a\b",
    r"a\\b",
    r"a\ b",
    r"a\,b",
    r"a\=b",
    r"a\"b",
    r"C:\temp\new",
    "チーム7 花子",
    "😀",
    "#comment",
    "%41",
    "a\tb",
    ",",
    "=",
]


def time_of(event: Event) -> int:
    return int(line(event).rpartition(" ")[2])


async def write(influx: InfluxServer, *events: Event) -> None:
    async with httpx.AsyncClient(base_url=influx.url) as client:
        await client.post("/query", params={"q": f"CREATE DATABASE {BUCKET}"})
        body = "\n".join(map(line, events)).encode()
        answer = await client.post("/write", params={"db": BUCKET}, content=body)
    assert answer.status_code == 204, answer.text


async def read(influx: InfluxServer, event: Event) -> list[dict[str, Any]]:
    """The points of the event's time, which its id makes its own."""
    query = f"SELECT * FROM student_progress WHERE time = {time_of(event)}"
    async with httpx.AsyncClient(base_url=influx.url) as client:
        answer = await client.get("/query", params={"db": BUCKET, "q": query, "epoch": "ns"})
    (result,) = answer.json()["results"]
    (series,) = result.get("series", [{"columns": [], "values": []}])
    return [dict(zip(series["columns"], row, strict=True)) for row in series["values"]]


@pytest.mark.parametrize("text", NASTY)
async def test_text_comes_back_from_influxdb_as_it_was(
    influx_server: InfluxServer, text: str
) -> None:
    event = make_event(
        student=text, session=text, notebook=text, cell=text, type=text, cell_type=text
    )
    await write(influx_server, event)
    (point,) = await read(influx_server, event)
    names = ("userId", "sessionId", "notebook", "event", "cellType", "notebookPath", "cellId")
    assert {name: point[name] for name in names} == dict.fromkeys(names, text)


@pytest.mark.parametrize("text", ["a\\", "a\\\\", "a b\\", "a\nb", "a\r\nb", "\\", "\n", "a\n"])
async def test_unfit_tag_text_breaks_no_point(influx_server: InfluxServer, text: str) -> None:
    event = make_event(student=text, session=text, cell=text, type=text, cell_type=text)
    following = make_event()
    await write(influx_server, event, following)
    (point,) = await read(influx_server, event)
    assert point["cellId"] == text
    assert point["notebookPath"] == event.notebook
    assert (point["userId"] or "").replace("\\n", "\n").replace("\\r", "\r") == text.rstrip("\\")
    assert len(await read(influx_server, following)) == 1


@pytest.mark.parametrize("duration", [0.0, -1.0, 1e-300, 1.7e308, 1e22, 0.1])
async def test_numbers_come_back_from_influxdb_as_they_were(
    influx_server: InfluxServer, duration: float
) -> None:
    event = make_event(duration_ms=duration, execution_count=-(2**31), failed=True)
    await write(influx_server, event)
    (point,) = await read(influx_server, event)
    assert (point["duration"], point["executionCount"]) == (duration, -(2**31))
    assert point["success"] is False


async def test_a_point_written_again_meets_itself(influx_server: InfluxServer) -> None:
    event = make_event()
    for _ in range(2):
        await write(influx_server, event, event)
    assert len(await read(influx_server, event)) == 1
