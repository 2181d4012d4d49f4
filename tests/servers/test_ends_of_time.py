"""Times at either end of the calendar, with any offset: refused in a sentence, or a time."""

import re
from typing import Any

import httpx
import pytest

from tests.support.lms import unique

OUTSIDE = ("9999-12-31T23:59:59.999999-14:00", "0001-01-01T00:00:00+14:00")
INSIDE = (
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999+14:00",
    "9999-12-31T23:59:59.999999",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00-14:00",
    "0001-01-01T00:00:00",
)
TIMES = ("since", "until", "at", "executed_at")
MEANT = {"place": "id:c", "event_id": "00000000-0000-0000-0000-000000000000"}


async def time_parameters(api: httpx.AsyncClient) -> list[tuple[str, dict[str, str]]]:
    """Each path of a GET with a parameter that is a time, and its parameters, the times empty."""
    found = []
    for path, item in (await api.get("/openapi.json")).json()["paths"].items():
        names = {each["name"] for each in item.get("get", {}).get("parameters", ())}
        query = {name: MEANT.get(name, "") for name in names & {*TIMES, *MEANT}}
        if "" in query.values():
            found.append((path.removeprefix("/api/v1"), query))
    return found


async def make_class(api: httpx.AsyncClient) -> dict[str, int]:
    created = await api.post("/classes", json={"name": "x", "class_code": unique()})
    class_id = created.json()["id"]
    enrolled = await api.post(f"/classes/{class_id}/students", json={"user_id": unique()})
    notebook = await api.post("/notebooks", json={"path": unique(), "class_id": class_id})
    key = await api.post("/ingest-keys", json={"name": "x", "class_id": class_id})
    (issued,) = (await api.post(f"/classes/{class_id}/tokens", json={})).json()
    return {
        "class_id": class_id,
        "student_id": enrolled.json()["student_id"],
        "notebook_id": notebook.json()["id"],
        "key_id": key.json()["id"],
        "token_id": issued["id"],
    }


async def test_a_time_of_a_query_is_refused_or_read_at_both_ends(api: httpx.AsyncClient) -> None:
    ids = await make_class(api)
    calls = await time_parameters(api)
    assert len(calls) >= 8, calls
    for path, query in calls:
        url = re.sub(r"\{(\w+)\}", lambda match: str(ids[match[1]]), path)
        times = [name for name, value in query.items() if not value]
        for name in times:
            others = {other: value for other, value in query.items() if value}
            for time in OUTSIDE:
                given = {**dict.fromkeys(times, "2026-01-01T00:00:00Z"), **others, name: time}
                answer = await api.get(url, params=given)
                assert answer.status_code == 422, (url, given, answer.text)
                (detail,) = answer.json()["detail"]
                assert detail["loc"] == ["query", name]
                assert "years 1 to 9999" in detail["msg"]
            for time in INSIDE:
                answer = await api.get(url, params={**others, name: time})
                # 404 is for pictures, of a run that does not exist.
                assert answer.status_code in (200, 404, 422), (url, name, time, answer.text)


@pytest.mark.parametrize("interval", [60, 3600, 7 * 86_400])
async def test_a_class_over_time_has_ends(api: httpx.AsyncClient, interval: int) -> None:
    ids = await make_class(api)
    url = f"/classes/{ids['class_id']}/activity"
    for time in (*OUTSIDE, *INSIDE):
        for more in ({"until": time}, {"since": time}, {"since": time, "until": time}):
            answer = await api.get(url, params={"interval": interval, **more})
            assert answer.status_code in (200, 422), (more, answer.text)
    last = {"since": "9999-12-31T00:00:00Z", "until": "9999-12-31T22:00:00Z"}
    assert len((await api.get(url, params={"interval": 3600, **last})).json()) == 22


async def test_a_time_of_a_body_is_refused_at_both_ends(api: httpx.AsyncClient) -> None:
    ids = await make_class(api)
    work = {"class_id": ids["class_id"], "notebook_id": ids["notebook_id"], "title": "x"}
    span = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    move = {"student_id": ids["student_id"], "from_class_id": ids["class_id"], **span}
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("/assignments", work, "due_date"),
        (f"/ingest-keys/{ids['key_id']}/withdraw", span, "since"),
        (f"/ingest-keys/{ids['key_id']}/withdraw", span, "until"),
        (f"/classes/{ids['class_id']}/assign", move, "since"),
        (f"/classes/{ids['class_id']}/assign", move, "until"),
    ]
    for url, body, name in calls:
        for time in OUTSIDE:
            answer = await api.post(url, json={**body, name: time})
            assert answer.status_code == 422, (url, name, answer.text)
            assert answer.json()["detail"][0]["loc"] == ["body", name]
        for time in INSIDE:
            answer = await api.post(url, json={**body, name: time})
            assert answer.status_code < 500, (url, name, time, answer.text)
    for assignment in (await api.get("/assignments", params={"class_id": ids["class_id"]})).json():
        assert assignment["due_date"]
