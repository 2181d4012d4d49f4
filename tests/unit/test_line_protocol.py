"""The line of an event, before InfluxDB reads it."""

import uuid
from datetime import timedelta

from monitor.events.event import Event
from monitor.timeseries.line_protocol import line
from tests.support.factories import make_event, now


def time_of(event: Event) -> int:
    return int(line(event).rpartition(" ")[2])


def test_a_point_has_the_tags_and_fields_of_the_contract() -> None:
    event = make_event(id=uuid.UUID(int=7), duration_ms=2.5)
    ms = int(event.time.timestamp() * 1000)
    assert line(event) == (
        "student_progress,cellType=code,event=cell_executed,notebook=lesson.ipynb,"
        'sessionId=session-1,userId=hanako notebookPath="units/lesson.ipynb",cellId="cell-1",'
        f"executionCount=1i,success=true,duration=2.5 {ms}000007"
    )


def test_empty_tags_are_left_out() -> None:
    event = make_event(type="help", session=None, notebook=None, cell=None, cell_type=None)
    assert line(event).startswith("student_progress,event=help,userId=hanako notebookPath=")
    assert "success" not in line(event)


def test_point_times_are_unique_and_stable() -> None:
    time = now()
    events = [make_event(time=time) for _ in range(20)]
    times = list(map(time_of, events))
    assert len(set(times)) == 20
    assert {each // 1_000_000 for each in times} == {int(time.timestamp() * 1000)}
    assert list(map(time_of, events)) == times
    later = make_event(id=events[0].id, time=time + timedelta(microseconds=999))
    assert time_of(later) == times[0]
