"""The room of a class and its seats, on a running server."""

from typing import Any

import httpx
import pytest

from monitor.lms.rooms import Place, parse_place
from tests.support.lms import create_class_of, error_location, unique
from tests.support.replicas import Replica

NO_ROOM = {"rows": 0, "columns": 0, "aisles": [], "seats": []}


def seat(student_id: int, row: int, column: int) -> dict[str, int]:
    return {"student_id": student_id, "row": row, "column": column}


async def put(api: httpx.AsyncClient, class_id: int, **room: Any) -> httpx.Response:
    return await api.put(f"/classes/{class_id}/room", json={"rows": 2, "columns": 3, **room})


async def seats_of(api: httpx.AsyncClient, class_id: int) -> dict[int, tuple[int, int]]:
    now = (await api.get(f"/classes/{class_id}/now")).json()
    return {each["student_id"]: (each["seat_row"], each["seat_column"]) for each in now}


async def test_students_sit_in_a_room(school: Replica, api: httpx.AsyncClient) -> None:
    class_id, _, (ann, ben) = await create_class_of(api, "ann", "ben")
    path = f"/classes/{class_id}/room"
    assert (await api.get(path)).json() == NO_ROOM
    room = {"rows": 2, "columns": 3, "aisles": [1], "seats": [seat(ann, 1, 2), seat(ben, 2, 3)]}
    async with school.listen(f"?channels=class:{class_id}") as dashboard:
        answer = await put(api, class_id, aisles=[3, 1, 1], seats=room["seats"])
        assert answer.json() == room  # there is no aisle behind the last column
        message = await dashboard.next()
        assert (message["event"], message["data"]) == ("room", room)
    assert (await api.get(path)).json() == room
    assert await seats_of(api, class_id) == {ann: (1, 2), ben: (2, 3)}


async def test_students_swap_seats_and_leave_them(api: httpx.AsyncClient) -> None:
    class_id, _, (ann, ben) = await create_class_of(api, "ann", "ben")
    await put(api, class_id, seats=[seat(ann, 1, 1), seat(ben, 1, 2)])
    await put(api, class_id, seats=[seat(ben, 1, 1), seat(ann, 1, 2)])
    assert await seats_of(api, class_id) == {ann: (1, 2), ben: (1, 1)}
    await put(api, class_id, seats=[seat(ben, 1, 1)])
    assert await seats_of(api, class_id) == {ann: (None, None), ben: (1, 1)}
    await api.delete(f"/classes/{class_id}/students/{ben}")
    answer = await put(api, class_id, seats=[seat(ann, 1, 1)])
    assert answer.json()["seats"] == [seat(ann, 1, 1)]


async def test_what_is_not_sent_of_a_room_stays(api: httpx.AsyncClient) -> None:
    class_id, _, (ann, ben) = await create_class_of(api, "ann", "ben")
    seats = [seat(ann, 1, 1), seat(ben, 2, 3)]
    await put(api, class_id, aisles=[1, 2], seats=seats)
    wider = (await put(api, class_id, columns=4)).json()
    assert wider == {"rows": 2, "columns": 4, "aisles": [1, 2], "seats": seats}
    for fewer, side, seat_name in (
        ({"rows": 1}, "rows", "B3"),
        ({"columns": 2}, "columns", "B3"),
    ):
        refused = await put(api, class_id, **fewer)
        assert error_location(refused) == ["body", side]
        assert f"has the seat {seat_name}" in refused.text
    assert (await api.get(f"/classes/{class_id}/room")).json() == wider
    emptied = await put(api, class_id, columns=2, seats=[])
    assert emptied.json() == {"rows": 2, "columns": 2, "aisles": [1], "seats": []}
    assert (await put(api, class_id, aisles=[])).json()["aisles"] == []
    assert (await put(api, class_id, seats=None)).status_code == 422


async def test_an_impossible_seat_changes_nothing(api: httpx.AsyncClient) -> None:
    class_id, _, (ann, ben) = await create_class_of(api, "ann", "ben")
    await put(api, class_id, seats=[seat(ann, 1, 1)])

    async def reason(*seats: dict[str, int]) -> str:
        answer = await put(api, class_id, seats=list(seats))
        assert answer.status_code == 422
        return str(answer.json()["detail"][0]["msg"])

    assert "no seat C1" in await reason(seat(ann, 3, 1))
    assert "A2 is given to two" in await reason(seat(ann, 1, 2), seat(ben, 1, 2))
    assert "has two seats" in await reason(seat(ann, 1, 2), seat(ann, 1, 3))
    assert "999999 is not in the class" in await reason(seat(ben, 1, 2), seat(999_999, 1, 3))
    assert await seats_of(api, class_id) == {ann: (1, 1), ben: (None, None)}
    assert (await put(api, class_id, rows=51)).status_code == 422
    assert (await put(api, 999_999)).status_code == 404
    assert (await api.get("/classes/999999/room")).status_code == 404


async def test_a_copied_class_has_the_room_without_students(api: httpx.AsyncClient) -> None:
    class_id, _, (ann,) = await create_class_of(api, "ann")
    await api.put(f"/classes/{class_id}", json={"stuck_errors": 5, "stuck_minutes": 9})
    await put(api, class_id, aisles=[2], seats=[seat(ann, 1, 1)])
    body = {"name": "Next", "class_code": unique("next")}
    copied = (await api.post(f"/classes/{class_id}/copy", json=body)).json()
    assert (copied["stuck_errors"], copied["stuck_minutes"]) == (5, 9)
    room = (await api.get(f"/classes/{copied['id']}/room")).json()
    assert room == {"rows": 2, "columns": 3, "aisles": [2], "seats": []}


async def test_a_merged_student_keeps_a_seat(api: httpx.AsyncClient) -> None:
    class_id, _, (ann, old) = await create_class_of(api, "ann", "ann-old")
    await put(api, class_id, seats=[seat(old, 2, 2)])
    merged = await api.post(f"/students/{old}/merge", json={"into": ann})
    assert merged.status_code < 300, merged.text
    assert await seats_of(api, class_id) == {ann: (2, 2)}


@pytest.mark.parametrize("row", [1, 26, 27, 50])
def test_a_place_is_read_as_it_is_written(row: int) -> None:
    assert parse_place(str(Place(row, 12))) == Place(row, 12)


@pytest.mark.parametrize("text", ["A3", "a3", "Ａ３", " A-3 ", "1-3", "A 3"])
def test_a_place_is_read_as_people_write_it(text: str) -> None:
    assert parse_place(text) == Place(1, 3)


@pytest.mark.parametrize("text", ["", "A", "3", "A0", "A51", "51-1", "0-1", "AA", "window"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert parse_place(text) is None
