"""Notices: to everybody, or to a class."""

import httpx
import pytest

from tests.support.lms import create_class, error_location
from tests.support.replicas import Replica


async def test_a_notice_reaches_whom_it_is_for(api: httpx.AsyncClient, school: Replica) -> None:
    class_id = (await create_class(api))["id"]
    async with (
        school.listen("?channels=broadcast") as everybody,
        school.listen(f"?channels=class:{class_id}") as in_class,
    ):
        sent = await api.post("/notices", json={"message": "9時に再起動します"})
        assert sent.status_code == 201
        assert sent.json() == {
            "message": "9時に再起動します",
            "level": "info",
            "class_id": None,
            "channel": "broadcast",
            "sent_at": sent.json()["sent_at"],
        }
        message = await everybody.next()
        assert (message["event"], message["channel"]) == ("system_message", "broadcast")
        assert message["timestamp"] == sent.json()["sent_at"]
        assert message["data"] == {
            "message": "9時に再起動します",
            "level": "info",
            "classId": None,
        }
        body = {"message": "課題2へ", "level": "warning", "class_id": class_id}
        assert (await api.post("/notices", json=body)).json()["channel"] == f"class:{class_id}"
        message = await in_class.next()
        assert (message["event"], message["data"]["classId"]) == ("system_message", class_id)
        assert await everybody.silent()
        assert await in_class.silent()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": "x" * 10_001}, "message"),
        ({"message": "x", "level": "shout"}, "level"),
        ({"message": "x", "class_id": 999_999_999}, "class_id"),
    ],
)
async def test_a_notice_says_something_to_somebody(
    api: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    assert error_location(await api.post("/notices", json=body)) == ["body", field]
