"""Permissions: each route and channel, with each role and each invalid credential."""

import re
import time
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from monitor.auth.permissions import CHANNELS, OWN, ROUTES
from monitor.auth.principal import Role
from tests.support.audit import changes, last_changes
from tests.support.lms import unique
from tests.support.replicas import Replica
from tests.support.tokens import CLAIMS, SECRET, bearer, client, subprotocols, token, unsigned

PEOPLE = ("student", "instructor", "admin")
LONG_AGO = {"since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}


class World:
    """Two classes, each with a teacher, a student, and something of everything."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ids: dict[str, Any] = {}
        self.key = self.other_key = ""

    async def make(self, teacher: str, student: str) -> tuple[dict[str, Any], str]:
        async with client(self.url, token(teacher, "instructor")) as api:

            async def create(path: str, /, **body: Any) -> dict[str, Any]:
                answer = await api.post(path, json=body)
                assert answer.status_code == 201, (path, answer.text)
                created: dict[str, Any] = answer.json()
                return created

            class_id = (await create("/classes", name="x", class_code=unique()))["id"]
            enrolled = await create(f"/classes/{class_id}/students", user_id=student)
            notebook = await create("/notebooks", path=unique(), class_id=class_id)
            assignment = await create(
                "/assignments", class_id=class_id, notebook_id=notebook["id"], title="x"
            )
            handed_in = await create(
                "/submissions", assignment_id=assignment["id"], user_id=student
            )
            key = await create("/ingest-keys", name="x", class_id=class_id)
            receiver = await create(
                "/notification-receivers",
                class_id=class_id,
                name="x",
                url="json://127.0.0.1:9",
                kinds=[],
            )
            (issued,) = (await api.post(f"/classes/{class_id}/tokens", json={})).json()
            other_class = await create("/classes", name="x", class_code=unique())
            invite = await create(f"/classes/{other_class['id']}/invite")
            ids = {
                "class_id": class_id,
                "token_id": issued["id"],
                "student_id": enrolled["student_id"],
                "notebook_id": notebook["id"],
                "assignment_id": assignment["id"],
                "submission_id": handed_in["id"],
                "key_id": key["id"],
                "receiver_id": receiver["id"],
                "user_id": student,
                "code": invite["code"],
            }
            return ids, key["key"]

    async def add_letters(self) -> None:
        """A withdrawal and a dead letter of our class."""
        async with client(self.url, None) as extension:
            answer = await extension.post("/events", json=[{}], params={"key": self.key})
            assert answer.status_code == 422
        async with client(self.url, token("sensei", "instructor")) as api:
            (letter,) = (await api.get("/rejected-events")).json()
            path = f"/ingest-keys/{self.ids['key_id']}/withdraw"
            withdrawal = (await api.post(path, json=LONG_AGO)).json()
        self.ids |= {"letter_id": letter["id"], "withdrawal_id": withdrawal["id"]}


@pytest.fixture(scope="module")
async def world(guarded_school: Replica) -> World:
    world = World(guarded_school.url)
    world.ids, world.key = await world.make("sensei", "hanako")
    _, world.other_key = await world.make("kyoju", "taro")
    await world.add_letters()
    return world


def credentials_of(role: str, ours: bool) -> dict[str, str]:
    names = {
        "student": "hanako" if ours else "taro",
        "instructor": "sensei" if ours else "kyoju",
        "admin": "root",
    }
    return bearer(token(names[role], role))


def filled(path: str, ids: dict[str, Any]) -> str:
    arguments = {"test_id": "t", **ids}
    return path.replace("{path:path}", "main.js").format(**arguments)


def body_of(call: str, ids: dict[str, Any]) -> Any:
    """A body that names our own rows, and that only access control would refuse."""
    return {
        "POST /assignments": {k: ids[k] for k in ("class_id", "notebook_id")} | {"title": "x"},
        "POST /submissions": {"assignment_id": ids["assignment_id"], "user_id": ids["user_id"]},
        "POST /notices": {"message": "x", "class_id": ids["class_id"]},
        "POST /ingest-keys": {"name": "x", "class_id": ids["class_id"]},
        "POST /notification-receivers": {
            "name": "x",
            "url": "json://127.0.0.1:9",
            "kinds": [],
            "class_id": ids["class_id"],
        },
        "POST /classes": {"name": "x", "class_code": unique()},
        "POST /students": {"user_id": unique()},
        "POST /notebooks": {"path": unique(), "class_id": ids["class_id"]},
        "POST /ingest-keys/{key_id}/withdraw": LONG_AGO,
        "POST /student-tokens/{token_id}/withdraw": LONG_AGO,
        "POST /classes/{class_id}/assign": {
            **LONG_AGO,
            "student_id": ids["student_id"],
            "from_class_id": ids["class_id"],
        },
        "POST /classes/{class_id}/copy": {"name": "x", "class_code": unique()},
        "PUT /classes/{class_id}/room": {"rows": 1, "columns": 1},
        "POST /classes/{class_id}/notebooks/{notebook_id}/merge": {"into": ids["notebook_id"]},
        "POST /classes/{class_id}/help/{student_id}/take": {"name": "x"},
        "POST /classes/{class_id}/help/{student_id}/resolve": {"name": "x"},
        "POST /classes/{class_id}/help/{student_id}/return": {"name": "x"},
        "POST /classes/{class_id}/help/{student_id}/undo": {"name": "x"},
        "PUT /classes/{class_id}/duties": {"name": "x"},
        "POST /classes/{class_id}/students": {"user_id": ids["user_id"]},
        CLAIM: {"user_id": ids["user_id"]},
    }.get(call, [] if "events" in call or "progress" in call or "monitor" in call else {})


_RUN = f"?event_id={UUID(int=0)}&executed_at=2026-01-01T00:00:00"
QUERIES = {
    "GET /students/{student_id}/pictures": _RUN,
    "GET /classes/{class_id}/notebooks/{notebook_id}/attempts": "?place=id:c",
}


async def ask(world: World, call: str, headers: dict[str, str], query: str = "") -> httpx.Response:
    method, path = call.split()
    csv, query = path.endswith("/roster"), query or QUERIES.get(call, "")
    async with httpx.AsyncClient(base_url=world.url, timeout=15) as api:
        for prefix in ("/api/v1", ""):
            answer = await api.request(
                method,
                prefix + filled(path, world.ids) + query,
                headers={**headers, **({"Content-Type": "text/csv"} if csv else {})},
                content=f"user_id\n{world.ids['user_id']}\n".encode() if csv else None,
                json=None if csv or method == "GET" else body_of(call, world.ids),
            )
            if answer.status_code != 404 or "Not Found" not in answer.text:
                return answer
    return answer


# Which reveal nothing about anybody, and to who has its code the name of a class.
DOCS = [call for call in ROUTES if call.startswith("GET /docs")]  # not the API's description
PAGE = ("GET /", "GET /page/{path:path}", "GET /join/{code}", *DOCS)
CLAIM = "POST /join/{code}/token"  # for who has the code, which here hands out no tokens
LOGIN = ("GET /login", "GET /login/callback", "GET /oauth_callback", "POST /logout")
CALLS = sorted(call for call in ROUTES if not call.startswith("WS"))
CHANGES = ("DELETE",)  # only by callers who are refused: the rows are needed later


def reveals_nothing(call: str, answer: httpx.Response) -> bool:
    if call == CLAIM:
        return answer.status_code == 404 and "one address for all" in answer.json()["detail"]
    if call in LOGIN:
        return answer.status_code == 404 and "no provider" in answer.json()["detail"]
    return answer.status_code == 200 and (call in PAGE or bool(answer.json() == {"status": "ok"}))


@pytest.mark.parametrize("call", CALLS)
async def test_roles_are_let_through_as_the_table_says(world: World, call: str) -> None:
    for role in PEOPLE:
        if ROUTES[call].rule(role) is None:  # type: ignore[arg-type]
            answer = await ask(world, call, credentials_of(role, True))
            assert answer.status_code == 403, (role, answer.text)
        elif not call.startswith("DELETE"):
            answer = await ask(world, call, credentials_of(role, True))
            assert answer.status_code not in (401, 403, 429, 500), (role, answer.text)


@pytest.mark.parametrize(
    "call",
    [
        c
        for c in CALLS
        if ("{" in c and c not in (*PAGE, CLAIM))
        or c in ("POST /submissions", "POST /notebooks", "POST /notification-receivers")
    ],
)
async def test_of_another_class_nobody_sees_or_changes_anything(world: World, call: str) -> None:
    for role in ("student", "instructor"):
        answer = await ask(world, call, credentials_of(role, False))
        assert answer.status_code == 403, (role, answer.text)


LISTS = ["/classes", "/students", "/assignments", "/submissions"]


@pytest.mark.parametrize(
    ("role", "path"),
    [
        ("instructor", "/ingest-keys"),
        ("instructor", "/notification-receivers"),
        ("instructor", "/student-tokens"),
        ("student", "/student-tokens"),
        ("instructor", "/notebooks"),
        ("student", "/notebooks"),
        *((r, path) for r in ("student", "instructor") for path in LISTS),
    ],
)
async def test_lists_have_nothing_of_another_class(world: World, role: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=f"{world.url}/api/v1") as api:
        mine = (await api.get(path, headers=credentials_of(role, True))).json()
        theirs = (await api.get(path, headers=credentials_of(role, False))).json()
    assert mine
    assert theirs
    assert not {each["id"] for each in mine} & {each["id"] for each in theirs}


@pytest.mark.parametrize("role", ["student", "instructor"])
@pytest.mark.parametrize(
    "query",
    [
        "students?user_id={user_id}",
        "assignments?class_id={class_id}",
        "notebooks?class_id={class_id}",
        "submissions?assignment_id={assignment_id}",
        "submissions?student_id={student_id}",
        "submissions?user_id={user_id}",
        "submissions?user_id=taro&student_id={student_id}",
        "ingest-keys?class_id={class_id}",
        "notification-receivers?class_id={class_id}",
        "student-tokens?class_id={class_id}",
        "student-tokens?student_id={student_id}",
    ],
)
async def test_filters_find_nothing_of_another_class(world: World, role: str, query: str) -> None:
    async with httpx.AsyncClient(base_url=f"{world.url}/api/v1") as api:
        answer = await api.get(f"/{query.format(**world.ids)}", headers=credentials_of(role, False))
    assert answer.status_code == 403


@pytest.mark.parametrize("role", ["instructor", "admin"])
async def test_who_may_delete_does(world: World, role: str) -> None:
    teacher, student = (unique("sensei"), unique("pupil"))
    ids, _ = await world.make(teacher, student)
    async with client(world.url, token(teacher if role == "instructor" else "root", role)) as api:
        for path in (
            "/submissions/{submission_id}",
            "/assignments/{assignment_id}",
            "/ingest-keys/{key_id}",
            "/notification-receivers/{receiver_id}",
            "/student-tokens/{token_id}",
            "/classes/{class_id}/students/{student_id}",
        ):
            answer = await api.delete(path.format(**ids))
            assert answer.status_code == 200, (path, answer.text)
        for path in ("/notebooks/{notebook_id}", "/students/{student_id}"):
            answer = await api.delete(path.format(**ids))
            assert answer.status_code == (403 if role == "instructor" else 200), path
        assert (await api.delete(f"/classes/{ids['class_id']}")).status_code == 200
    async with client(world.url, token("root", "admin")) as api:
        for path, status in (("/test/events/none", 404), ("/rejected-events/999999", 404)):
            assert (await api.delete(path)).status_code == status


async def test_an_assistant_removes_nobody_and_deletes_nothing_that_others_made(
    world: World,
) -> None:
    teacher, assistant = unique("sensei"), unique("ta")
    ids, _ = await world.make(teacher, unique("pupil"))
    roster = f"/classes/{ids['class_id']}/students"
    async with client(world.url, token(teacher, "instructor")) as api:
        await api.post(roster, json={"user_id": assistant, "role": "assistant"})
        lines = {each["user_id"]: each for each in (await api.get(roster)).json()}
    async with client(world.url, token(assistant, "instructor")) as api:
        path = f"/submissions/{ids['submission_id']}"
        assert (await api.put(path, json={"grade": 1})).status_code == 200  # they may grade
        for name in lines:
            line = f"{roster}/{lines[name]['student_id']}"
            assert (await api.delete(line)).status_code == 403
            for role in ("teacher", "student"):
                assert (await api.put(line, json={"role": role})).status_code == 403
                body = {"user_id": name, "role": role}
                assert (await api.post(roster, json=body)).status_code == 403
        for each in (path, f"/assignments/{ids['assignment_id']}", f"/classes/{ids['class_id']}"):
            assert (await api.delete(each)).status_code == 403, each
    async with client(world.url, token(teacher, "instructor")) as api:
        assert {each["user_id"]: each for each in (await api.get(roster)).json()} == lines
        assert (await api.get(path)).status_code == 200


def bad_credentials(world_key: str) -> dict[str, dict[str, str]]:
    claims = {**CLAIMS, "sub": "root", "role": "admin"}
    soon = int(time.time()) + 600
    return {
        "absent": {},
        "expired": bearer(token("root", "admin", exp=1)),
        "never expires": bearer(jwt.encode(claims, SECRET, "HS256")),
        "unsigned": bearer(unsigned("root", "admin")),
        "wrong key": bearer(jwt.encode({**claims, "exp": soon}, "x" * 40, "HS256")),
        "other algorithm": bearer(jwt.encode({**claims, "exp": soon}, SECRET * 2, "HS512")),
        "other issuer": bearer(token("root", "admin", iss="https://elsewhere")),
        "other audience": bearer(token("root", "admin", aud="grafana")),
        "never ends": bearer(token("root", "admin", exp=10**400)),
        "no role": bearer(token("root", "king")),
        "nobody": bearer(token("", "admin")),
        "a key as a token": bearer(world_key),
        "unknown key": {"X-Ingest-Key": "cmk_" + "x" * 43},
        "noise": {"Authorization": "Basic cm9vdDpyb290"},
    }


@pytest.mark.parametrize("call", CALLS)
async def test_without_a_good_credential_nothing_is_told(world: World, call: str) -> None:
    public = ROUTES[call].anyone is not None
    for what, headers in bad_credentials(world.key).items():
        answer = await ask(world, call, headers)
        if public and what == "absent":
            assert reveals_nothing(call, answer)
        else:
            assert answer.status_code == 401, (what, answer.text)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("call", CALLS)
async def test_with_a_key_events_are_posted_and_nothing_else(world: World, call: str) -> None:
    answer = await ask(world, call, {}, f"?key={world.key}")
    row = ROUTES[call]
    if row.ingest:
        assert answer.status_code in (202, 422)
    elif row.key:
        assert reveals_nothing(call, answer)
    else:
        assert answer.status_code == 403


async def test_a_revoked_key_is_refused_and_a_rotated_one_is_not(world: World) -> None:
    events = [{"eventType": "help", "userId": "hanako"}]
    async with client(world.url, token("sensei", "instructor")) as api:
        body = {"name": "y", "class_id": world.ids["class_id"]}
        first = (await api.post("/ingest-keys", json=body)).json()
        second = (await api.post(f"/ingest-keys/{first['id']}/rotate")).json()
        async with client(world.url, None) as extension:
            for key in (first, second):
                answer = await extension.post("/events", json=events, params={"key": key["key"]})
                assert answer.status_code == 202
        await api.delete(f"/ingest-keys/{first['id']}")
        listed = (await api.get("/ingest-keys")).json()
    assert not any("key" in each or "sha256" in each for each in listed)
    async with client(world.url, None) as api:
        for key, status in ((first, 401), (second, 202)):
            answer = await api.post("/events", json=events, params={"key": key["key"]})
            assert answer.status_code == status


async def test_who_posts_with_the_key_of_a_class_is_enrolled(world: World) -> None:
    name = unique("student")
    async with client(world.url, None) as api:
        for _ in range(2):
            body = [{"eventType": "help", "userId": name}]
            answer = await api.post("/events", json=body, params={"key": world.key})
            assert answer.status_code == 202
    async with client(world.url, token("sensei", "instructor")) as api:
        roster = (await api.get(f"/classes/{world.ids['class_id']}/students")).json()
    assert [each["role"] for each in roster if each["user_id"] == name] == ["student"]


async def test_with_a_personal_token_events_are_ones_own(world: World) -> None:
    events = [
        {"eventType": "help", "userId": name}
        for name in ("hanako", "taro", "hanako", "kyoju", "hanako")
    ]
    async with client(world.url, token("hanako")) as api:
        answer = await api.post("/events", json=events)
        assert (answer.status_code, answer.json()["stored"]) == (202, 3)
        assert [item["index"] for item in answer.json()["rejected"]] == [1, 3]
        assert (await api.post("/events", json=[events[1]])).status_code == 422


async def test_a_student_sets_no_grade(world: World) -> None:
    body = {"assignment_id": world.ids["assignment_id"], "user_id": "hanako"}
    async with client(world.url, token("hanako")) as api:
        for extra in ({"grade": 100}, {"feedback": "good"}, {"status": "graded"}):
            assert (await api.post("/submissions", json=body | extra)).status_code == 403
        assert (await api.post("/submissions", json=body)).status_code == 201


async def test_only_an_administrator_does_without_a_class(world: World) -> None:
    async with client(world.url, token("sensei", "instructor")) as api:
        for path, body in (
            ("/notices", {"message": "x"}),
            ("/ingest-keys", {"name": "x"}),
            ("/notebooks", {"path": "x"}),
        ):
            assert (await api.post(path, json=body)).status_code == 403


async def test_what_people_with_power_did_is_on_record(world: World) -> None:
    path = f"/submissions/{world.ids['submission_id']}"
    async with client(world.url, token("sensei", "instructor")) as api:
        graded = await api.put(path, json={"grade": 91, "feedback": "private words"})
        assert graded.status_code == 200
    async with client(world.url, token("root", "admin")) as api:
        entries = await last_changes(api, 1)
    (entry,) = entries
    assert (entry["role"], entry["name"]) == ("instructor", "sensei")
    assert (entry["operation"], entry["path"]) == (
        "PUT /api/v1/submissions/{submission_id}",
        f"/api/v1{path}",
    )
    assert entry["detail"] == {"grade": 91}


async def test_changes_of_rosters_and_copies_are_on_record(world: World) -> None:
    class_path = f"/classes/{world.ids['class_id']}"
    line_path = f"{class_path}/students/{world.ids['student_id']}"
    code = unique()
    async with client(world.url, token("root", "admin")) as admin:
        total = int((await admin.get("/audit")).headers["X-Total-Count"])
        async with client(world.url, token("sensei", "instructor")) as api:
            await api.put(line_path, json={"name": "花子", "team": None})
            await api.post(f"{class_path}/copy", json={"name": "x", "class_code": code})
            await api.put(line_path, json={"name": "x" * 513})  # refused
        entries = await changes(admin, skip=total)
    assert [(each["name"], each["path"], each["detail"]) for each in entries] == [
        ("sensei", f"/api/v1{line_path}", {"name": "花子"}),
        ("sensei", f"/api/v1{class_path}/copy", {"name": "x", "class_code": code}),
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_exports_are_on_record(world: World, method: str) -> None:
    async with client(world.url, token("root", "admin")) as admin:
        total = int((await admin.get("/audit")).headers["X-Total-Count"])
        paths = [
            f"/classes/{world.ids['class_id']}/now",
            f"/students/{world.ids['student_id']}/timeline",
        ]
        async with client(world.url, token("sensei", "instructor")) as api:
            for path in paths:
                for form in ("json", "csv"):
                    answer = await api.request(method, path, params={"format": form})
                    assert answer.status_code == 200
        async with client(world.url, token("hanako")) as api:
            assert (await api.get(paths[1], params={"format": "csv"})).status_code == 200
        entries = await changes(admin, skip=total)
    assert [(each["name"], each["path"]) for each in entries] == [
        ("sensei", f"/api/v1{path}") for path in paths
    ]


def channel_of(template: str, ids: dict[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(ids[match[1]]), template)


@pytest.mark.parametrize("template", CHANNELS)
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("role", PEOPLE)
async def test_channels_are_for_whom_the_table_says(
    world: World, guarded_school: Replica, template: str, ours: bool, role: Role
) -> None:
    rule = CHANNELS[template].rule(role)
    allowed = rule is not None and rule is not OWN and (ours or not rule.theirs)
    credential = credentials_of(role, ours)["Authorization"].removeprefix("Bearer ")
    url = f"ws://127.0.0.1:{guarded_school.port}/ws?channels={channel_of(template, world.ids)}"
    async with connect(url, proxy=None, subprotocols=subprotocols(credential)) as socket:
        assert socket.subprotocol == "cell-monitor"
        text = str(await socket.recv())
    assert ('"subscribed"' in text) is allowed, text
    assert ('"forbidden"' in text) is not allowed


@pytest.mark.parametrize("what", [name for name in bad_credentials("x") if "key" not in name])
async def test_a_socket_needs_a_good_credential(guarded_school: Replica, what: str) -> None:
    url = f"ws://127.0.0.1:{guarded_school.port}/ws"
    with pytest.raises(InvalidStatus):
        async with connect(url, proxy=None, additional_headers=bad_credentials("x")[what]):
            pass


async def test_a_key_opens_no_socket(world: World, guarded_school: Replica) -> None:
    url = f"ws://127.0.0.1:{guarded_school.port}/ws"
    for query, protocols in (f"?key={world.key}", None), ("", subprotocols(world.key)):
        with pytest.raises(InvalidStatus):
            async with connect(url + query, proxy=None, subprotocols=protocols):
                pass


@pytest.mark.parametrize("path", ["/ws", "/api/v1/classes", "/api/v1/openapi.json"])
async def test_a_token_in_the_url_is_none(guarded_school: Replica, path: str) -> None:
    query = f"?token={token('hanako')}"
    if path != "/ws":
        async with httpx.AsyncClient(base_url=guarded_school.url) as api:
            assert (await api.get(path + query)).status_code == 401
        return
    with pytest.raises(InvalidStatus):
        async with connect(f"ws://127.0.0.1:{guarded_school.port}/ws{query}", proxy=None):
            pass


async def test_a_socket_ends_with_its_token(guarded_school: Replica) -> None:
    credential = token("hanako", exp=int(time.time()) + 2)
    url = f"ws://127.0.0.1:{guarded_school.port}/ws"
    async with connect(url, proxy=None, subprotocols=subprotocols(credential)) as socket:
        await socket.recv()
        await socket.wait_closed()
        assert socket.close_code == 4401
    assert credential not in guarded_school.output()


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
async def test_a_page_of_elsewhere_opens_no_socket(shared_replica: Replica, origin: Any) -> None:
    url = f"ws://127.0.0.1:{shared_replica.port}/ws"
    with pytest.raises(InvalidStatus):
        async with connect(url, proxy=None, origin=origin):
            pass
    async with connect(url, proxy=None, origin=shared_replica.url):  # type: ignore[arg-type]
        pass


async def test_an_open_server_is_called_by_a_name_of_this_machine(shared_replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=shared_replica.url) as api:
        url = "/api/v1/classes"
        assert (await api.get(url, headers={"Host": "evil.example"})).status_code == 403
        assert (await api.get(url, headers={"Host": "localhost:8000"})).status_code == 200
        evil = {"Origin": "https://evil.example"}
        assert (await api.post(url, json={}, headers=evil)).status_code == 403
