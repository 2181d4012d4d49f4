"""A teacher, or a key of their class, names what is another's: none of it is read or changed."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.lms import create, unique
from tests.support.replicas import Replica
from tests.support.three_classes import Room, School, three_classes
from tests.support.tokens import client
from tests.support.waiting import eventually

DAY = timedelta(days=1)
LONG = {"since": "2020-01-01T00:00:00Z"}
REFUSED = (403, 404, 422)


class Attack:
    """The teacher of `three`, and `one` with a student of that class only, who has a token."""

    def __init__(self, school: School, only: dict[str, Any], theirs: dict[str, Any]) -> None:
        self.own, self.victim = school.rooms["three"], school.rooms["one"]
        self.school, self.user = school, only["user_id"]
        self.activity = f"activity?since={datetime.now(UTC) - DAY:%FT%TZ}&interval=604800"
        self.ids = {f"their_{name}": value for name, value in self.victim.ids.items()}
        self.ids |= self.own.ids | {
            "only": only["student_id"],
            "only_token": theirs["id"],
            "student_id": school.student_id,
            "user": only["user_id"],
        }

    async def seen(self) -> dict[str, str]:
        """What the teacher of `one` sees, as it is stored: no attack may change it."""
        views = ("now", "help", "students", "waiting", "room", "errors", "duties", self.activity)
        paths = [f"/classes/{self.victim.class_id}/{view}" for view in views]
        paths += [f"/student-tokens?class_id={self.victim.class_id}", "/withdrawals"]
        paths += [f"/classes/{self.victim.class_id}", "/assignments", "/submissions", "/notebooks"]
        paths += [f"/students/{self.ids['only']}/timeline"]
        return {
            path: json.dumps(without_age((await self.victim.api.get(path)).json()))
            for path in paths
        }

    async def changed(self, before: dict[str, str]) -> list[tuple[str, str]]:
        """What the teacher of `one` saw before and sees now, where it is another."""
        after = await self.seen()
        return [(before[path], after[path]) for path in before if before[path] != after[path]]


LATER = ("trend", "last_used_on")  # by minute, and written now and then


def without_age(value: Any) -> Any:
    """An answer without what changes as time goes by."""
    if isinstance(value, list):
        return [without_age(each) for each in value]
    if isinstance(value, dict):
        return {k: without_age(v) for k, v in value.items() if k not in LATER}
    return value


@pytest.fixture(scope="module")
async def prepared(guarded_school: Replica) -> AsyncIterator[Attack]:
    async with three_classes(guarded_school) as school:
        one = school.rooms["one"]
        path = f"/classes/{one.class_id}"
        only = await create(one.api, f"{path}/students", user_id=unique("only"), name="二郎")
        ids = {"student_ids": [only["student_id"]]}
        (issued,) = (await one.api.post(f"{path}/tokens", json=ids)).json()
        path = f"/withdrawals/{one.ids['withdrawal_id']}"
        await eventually(
            lambda: one.api.get(path), lambda answer: answer.json()["state"] == "withdrawn"
        )
        yield Attack(school, only, issued)


@pytest.fixture
async def attack(prepared: Attack) -> Attack:
    """Once both students have called again: nothing then changes by itself for a while."""
    one, url = prepared.victim, prepared.school.url
    await post(one, prepared.user, url, eventType="help")
    await post(one._replace(key=one.ids["token"]), prepared.school.user, url, eventType="help")
    await prepared.seen()  # what is counted late, such as names of cells, is from now on
    return prepared


async def post(room: Room, user: str, url: str, **said: Any) -> None:
    event = {
        "userId": user,
        "notebookPath": f"{room.mark}.ipynb",
        "cellId": "c",
        "code": "x",
    } | said
    async with client(url, None) as api:
        answer = await api.post("/events", json=[event], params={"key": room.key})
    assert answer.status_code == 202, answer.text


def in_place(value: Any, ids: dict[str, Any]) -> Any:
    """A body with ids in the place of their names."""
    if isinstance(value, dict):
        return {key: in_place(each, ids) for key, each in value.items()}
    if isinstance(value, list):
        return [in_place(each, ids) for each in value]
    return ids.get(value[1:], value) if isinstance(value, str) and value[:1] == "$" else value


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("POST /classes/{class_id}/tokens", {"student_ids": ["$only"]}),
        ("POST /classes/{class_id}/waiting/admit", {"student_ids": ["$their_waiting_id"]}),
        ("POST /classes/{class_id}/waiting/refuse", {"student_ids": ["$their_waiting_id"]}),
        (
            "PUT /classes/{class_id}/room",
            {"rows": 1, "columns": 1, "seats": [{"student_id": "$only", "row": 1, "column": 1}]},
        ),
        (
            "POST /classes/{class_id}/notebooks/{notebook_id}/merge",
            {"into": "$their_notebook_id"},
        ),
        (
            "POST /classes/{class_id}/notebooks/{their_notebook_id}/merge",
            {"into": "$notebook_id"},
        ),
        ("POST /classes/{class_id}/notebooks/{their_notebook_id}/keep-apart", None),
        ("DELETE /classes/{class_id}/notebooks/{their_notebook_id}/decision", None),
        ("GET /classes/{class_id}/notebooks/{their_notebook_id}/attempts?place=id:c", None),
        *(
            (f"POST /classes/{{class_id}}/help/{{only}}/{action}", {"name": "x"})
            for action in ("take", "resolve", "return", "undo")
        ),
        (
            "POST /classes/{class_id}/assign",
            {"from_class_id": "$their_class_id", "user_id": "$user", **LONG},
        ),
        (
            "POST /classes/{their_class_id}/assign",
            {"from_class_id": "$class_id", "user_id": "$user", **LONG},
        ),
        (
            "POST /assignments",
            {"class_id": "$class_id", "notebook_id": "$their_notebook_id", "title": "x"},
        ),
        ("PUT /assignments/{assignment_id}", {"notebook_id": "$their_notebook_id"}),
        ("PUT /assignments/{assignment_id}", {"class_id": "$their_class_id"}),
        ("POST /submissions", {"assignment_id": "$assignment_id", "user_id": "$user"}),
        ("POST /submissions", {"assignment_id": "$their_assignment_id", "user_id": "$user"}),
        ("PUT /submissions/{their_submission_id}", {"grade": 0}),
        ("PUT /notification-receivers/{their_receiver_id}", {"name": "x"}),
        ("POST /student-tokens/{their_token_id}/rotate", None),
        ("POST /student-tokens/{their_token_id}/confirm", None),
        ("DELETE /student-tokens/{their_token_id}", None),
        ("POST /student-tokens/{their_token_id}/withdraw", LONG),
        ("POST /student-tokens/{only_token}/rotate", None),
        ("PUT /classes/{class_id}/students/{only}", {"name": "偽名"}),
        ("DELETE /classes/{class_id}/students/{only}", None),
        ("POST /classes/{class_id}/students", {"student_id": "$only"}),
        ("POST /classes/{their_class_id}/students", {"user_id": "$user", "name": "偽名"}),
        ("GET /ingest-keys/{key_id}/events?student_id={only}", None),
        ("POST /withdrawals/{their_withdrawal_id}/replay", None),
        ("GET /students/{only}/timeline", None),
        ("GET /students/{only}/changes", None),
        ("POST /ingest-keys", {"name": "x", "class_id": "$their_class_id"}),
        ("POST /ingest-keys/{their_key_id}/rotate", None),
        ("POST /notices", {"message": "x", "class_id": "$their_class_id"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_id_of_another_teachers_does_nothing(attack: Attack, call: str, body: Any) -> None:
    before = await attack.seen()
    method, path = call.format(**attack.ids).split(" ", 1)
    answer = await attack.own.api.request(method, path, json=in_place(body, attack.ids))
    empty = answer.status_code == 200 and answer.json() in ([], {"items": [], "next": None})
    assert answer.status_code in REFUSED or empty, (answer.status_code, answer.text)
    assert attack.victim.mark not in answer.text
    assert attack.user not in answer.text
    assert await attack.changed(before) == []


async def test_a_key_withdraws_only_what_it_brought(attack: Attack) -> None:
    """The student, who posts with this teacher's key too, loses nothing in the other class."""
    await post(attack.own, attack.user, attack.school.url, eventType="cell_executed")
    before = await attack.seen()
    path = f"/ingest-keys/{attack.own.ids['key_id']}/withdraw"
    asked = await attack.own.api.post(path, json=LONG | {"student_ids": [attack.ids["only"]]})
    assert asked.status_code in (200, 201, 202), asked.text
    path = f"/withdrawals/{asked.json()['id']}"
    await eventually(
        lambda: attack.own.api.get(path), lambda answer: answer.json()["state"] == "withdrawn"
    )
    assert await attack.changed(before) == []


FORGED: list[dict[str, Any]] = [
    {"eventType": "help_stop"},
    {"eventType": "help_stop", "eventTime": "2030-01-01T00:00:00Z"},
    {"eventType": "help"},
    {"eventType": "session_end"},
    {"eventType": "cell_executed", "userName": "偽名", "teamName": "偽", "emailAddress": "x@y"},
    {"eventType": "cell_error", "errorMessage": "E", "hasError": True},
    {"eventType": "cell_executed", "notebookPath": "../{their_mark}.ipynb"},
    {"eventType": "cell_executed", "classCode": "{their_code}"},
    # What the server keeps of a row is no field of an event.
    {"eventType": "help_stop", "classId": "$their_class_id", "class_id": "$their_class_id"},
    {"eventType": "help_stop", "verified": True, "credential": "token {only_token}"},
    {"eventType": "cell_executed", "excluded": "withdrawn", "clockOffset": 1, "aliasId": 1},
    {"eventType": "help_stop", "metadata": {"classId": "$their_class_id", "verified": True}},
]


@pytest.mark.parametrize("said", FORGED, ids=str)
async def test_a_key_changes_nothing_of_its_students_elsewhere(
    attack: Attack, said: dict[str, Any]
) -> None:
    before = await attack.seen()
    code = json.loads(before[f"/classes/{attack.victim.class_id}"])["class_code"]
    names = attack.ids | {"their_mark": attack.victim.mark, "their_code": code}
    event = {
        key: in_place(value.format(**names) if isinstance(value, str) else value, names)
        for key, value in said.items()
    }
    await post(attack.own, attack.user, attack.school.url, sessionId="session", **event)
    assert await attack.changed(before) == []
