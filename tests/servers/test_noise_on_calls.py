"""Every operation with odd arguments: never a 500, nor a traceback in the log."""

import json
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from random import Random
from typing import Any, NamedTuple

from tests.support.arguments import RAW, Values
from tests.support.events import event
from tests.support.fixtures import replica_fixture
from tests.support.lms import create, create_assignment, create_class, notebook, unique
from tests.support.noise import INPUTS, logger, watched
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token

ROUND = 500  # calls, after which there is another class: many calls delete
# Beside the operations of the document. A 500 is always wrong, and so is anything that isn't known.
PATHS = (
    b"/", b"//", b"/page", b"/page/", b"/page/%00", b"/page/../settings.py", b"/page/app.js/", b"*",
    b"/docs", b"/docs/%2e%2e/x", b"/join/%00", b"/join/%ff", b"/join/x", b"/ws",
    b"/ws?channels=%00", b"/api/v1",
    b"/api/v1/", b"/api/v1/classes/", b"/api/v1//classes", b"/health?x=%00", b"/%00",
)  # fmt: skip
METHODS = (b"HEAD", b"OPTIONS", b"PATCH", b"TRACE", b"PUT", b"DELETE", b"POST", b"GET")
KNOWN_STATUSES = {
    200, 201, 202, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 411, 413, 415,
    422, 426, 431,
}  # fmt: skip

# Calls change rosters and delete: a server of their own. No limit ends the noise early.
noisy_school = replica_fixture(
    "module", JWT_SECRET=SECRET, TEST_EVENTS="on", MINUTE_EVENTS="1000000000"
)


class Call(NamedTuple):
    """A request as it is sent."""

    method: bytes
    target: bytes
    fields: tuple[bytes, ...]
    body: bytes

    def encoded(self) -> bytes:
        length = b"Content-Length: %d" % len(self.body)
        head = (b"%s %s HTTP/1.1" % (self.method, self.target), b"Host: localhost", length)
        return b"\r\n".join((*head, *self.fields, b"", self.body))


async def test_noise_on_calls(noisy_school: Replica) -> None:
    statuses: Counter[int] = Counter()
    with watched(noisy_school, INPUTS) as look:
        for number in range(0, INPUTS, ROUND):
            known = await what_exists(noisy_school)
            calls = Calls(Random(number), await document(noisy_school), known)
            with Caller(noisy_school.port) as caller:
                for call in (calls.next() for _ in range(ROUND)):
                    status = caller.status(call)
                    statuses[status] += 1
                    assert status in KNOWN_STATUSES, (status, call)
            look(ROUND)
    logger.info("answers by status: %s", sorted(statuses.items()))
    assert statuses[200] > INPUTS / 20  # most of it would be refused at the gate otherwise
    assert "Internal Server Error" not in noisy_school.output()


async def document(replica: Replica) -> dict[str, Any]:
    async with client(replica.url, token("root", "admin")) as api:
        content: dict[str, Any] = (await api.get("/openapi.json")).json()
        return content


async def what_exists(replica: Replica) -> dict[str, list[Any]]:
    """A class with all that belongs to it: values of parameters by their names."""
    async with client(replica.url, token("root", "admin")) as api:
        class_id = (await create_class(api))["id"]
        users = [unique("hanako"), unique("jiro")]
        roster = [{"user_id": user} for user in users]
        roster.append({"user_id": "sensei", "role": "teacher"})
        entries = await api.post(f"/classes/{class_id}/students", json=roster)
        key = await create(api, "/ingest-keys", name="x", class_id=class_id)
        for user in users:
            for index in range(3):
                failed = {"hasError": True, "errorMessage": f"KeyError: {index}"}
                said = event(userId=user, cellIndex=index, cellId=f"c{index}", **failed)
                answer = await api.post("/events", json=[said], params={"key": key["key"]})
                assert answer.status_code == 202, answer.text
        assignment = await create_assignment(api, class_id=class_id)
        hand_in = {"assignment_id": assignment["id"], "user_id": users[0]}
        submission = await create(api, "/submissions", notebook_content=notebook("x"), **hand_in)
        invite = (await api.post(f"/classes/{class_id}/invite")).json()
        students = [each["student_id"] for each in entries.json()]
        tokens = (await api.post(f"/classes/{class_id}/tokens", json={})).json()
        listed = {
            name: [each["id"] for each in (await api.get(f"/{path}")).json()]
            for name, path in (
                ("notebook_id", f"notebooks?class_id={class_id}"),
                ("token_id", f"student-tokens?class_id={class_id}"),
                ("letter_id", "rejected-events"),
                ("withdrawal_id", "withdrawals"),
            )
        }
        assert tokens, invite
    return {
        "class_id": [class_id],
        "student_id": students,
        "user_id": [*users, unique()],
        "assignment_id": [assignment["id"]],
        "submission_id": [submission["id"]],
        "key_id": [key["id"]],
        "code": [invite["code"]],
        "place": ["id:c0", "id:c1", "index:1"],
        **{name: ids for name, ids in listed.items() if ids},
    }


class Calls:
    """Random calls of the operations of a document."""

    def __init__(
        self, chance: Random, document: dict[str, Any], known: dict[str, list[Any]]
    ) -> None:
        self._chance = chance
        self._operations = [
            (method.upper().encode(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]
        # Those with many parameters more often.
        self._weights = [1 + len(each.get("parameters", ())) for _, _, each in self._operations]
        self._values = Values(chance, document, known)
        tokens = [token("root", "admin")] * 8  # others are refused most of it
        tokens += [token("sensei", "instructor"), token(known["user_id"][0])]
        self._credentials = [f"Authorization: Bearer {each}".encode() for each in tokens]

    def next(self) -> Call:
        chance = self._chance
        ((method, path, operation),) = chance.choices(self._operations, self._weights)
        target, body, fields = self._target(path, operation), b"", list[bytes]()
        if chance.random() < 0.05:
            target = chance.choice(PATHS)
        if chance.random() < 0.1:
            method = chance.choice(METHODS)
        elif content := operation.get("requestBody", {}).get("content"):
            ((media, described),) = content.items()
            body = self._body(media, described["schema"])
            fields.append(f"Content-Type: {media}".encode())
        if chance.random() < 0.95:
            fields.append(chance.choice(self._credentials))
        if chance.random() < 0.05:
            fields.append(
                chance.choice((b"Accept: */", b"If-None-Match: \xff", b"Range: bytes=9-"))
            )
        return Call(method, target, tuple(fields), body)

    def _target(self, path: str, operation: dict[str, Any]) -> bytes:
        chance, target, query = self._chance, path.encode(), list[bytes]()
        for each in operation.get("parameters", ()):
            is_in_path = each["in"] == "path"
            oddity = 0.05 if is_in_path else 0.2  # what isn't found is refused early
            value = self._values.in_url(each["name"], each["schema"], oddity=oddity)
            name = each["name"].encode()
            if is_in_path:
                target = target.replace(b"{%s}" % name, value.replace(b"#", b"%23"))
            elif chance.random() < 0.5:
                query += [b"%s=%s" % (name, value)] * chance.choice((1, 1, 1, 2))
        if chance.random() < 0.1:
            query.append(chance.choice(RAW) + b"=" + chance.choice(RAW))
        return target + (b"?" + b"&".join(query) if query else b"")

    def _body(self, media: str, schema: dict[str, Any]) -> bytes:
        chance = self._chance
        if chance.random() < 0.1:
            return chance.choice((b"", b"{", b"null", b"[]", b"\xff", b"[" * 2000, b'{"a":1e999}'))
        if media == "text/csv":
            rows = ["user_id,name,role,email", "a,b,student,c", "=1,\0,teacher,@", "", "\ufeff;\t"]
            chosen = "\r\n".join(chance.choices(rows, k=4))
            return chosen.encode(
                chance.choice(("utf-8", "utf-16", "shift-jis", "utf-7")), "replace"
            )
        oddity = chance.choice((0.0, 0.1))
        return json.dumps(self._values.of(schema, oddity=oddity)).encode("utf-8", "surrogatepass")


class Caller:
    """One connection at a time, opened again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._socket: socket.socket | None = None

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def status(self, call: Call) -> int:
        """Of the answer, which is read to its end."""
        for _ in range(2):  # a connection that was kept may have been closed meanwhile
            was_open = self._socket is not None
            try:
                return self._exchange(call)
            except (OSError, HTTPException):
                self._close()
                assert was_open, call
        raise AssertionError(call)

    def _exchange(self, call: Call) -> int:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=30)
        self._socket.sendall(call.encoded())
        with reading(self._socket, call.method.decode()) as answer:
            answer.read()
            if answer.will_close:
                self._close()
            return answer.status

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@contextmanager
def reading(connection: socket.socket, method: str) -> Iterator[HTTPResponse]:
    answer = HTTPResponse(connection, method=method)
    answer.begin()
    yield answer
    answer.close()
