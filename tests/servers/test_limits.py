"""Rate limits of callers and addresses."""

import json
import uuid
from itertools import count

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.fixtures import replica_fixture
from tests.support.lms import create
from tests.support.replicas import Listener, Replica
from tests.support.tokens import SECRET, bearer, client, subprotocols, token

EVENTS = 750  # a minute
REQUESTS = 150  # which follow from it
OF_STUDENT = 15
SMALL = {"eventType": "help", "userId": "hanako"}
BODIES = {
    "requests": b"[]",
    "events": json.dumps([SMALL] * 40).encode(),
    "bytes": json.dumps([SMALL | {"code": "x" * 30_000}]).encode(),
}
_addresses = count(2)


counting = replica_fixture(
    "module",
    JWT_SECRET=SECRET,
    MINUTE_EVENTS=str(EVENTS),
)

rationed = replica_fixture("module", JWT_SECRET=SECRET, DAILY_EVENTS="20")


class Place:
    """Somewhere with an address of its own."""

    def __init__(self, replica: Replica) -> None:
        self.address = f"127.0.0.{next(_addresses)}"
        transport = httpx.AsyncHTTPTransport(local_address=self.address)
        self._root = replica.url
        self._api = httpx.AsyncClient(base_url=f"{replica.url}/api/v1", transport=transport)

    async def __aenter__(self) -> "Place":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.aclose()

    async def post(self, body: bytes, key: str) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return await self._api.post("/events", content=body, headers=headers, params={"key": key})

    async def exhaust(self, body: bytes, key: str) -> httpx.Response:
        for _ in range(REQUESTS + 1):
            answer = await self.post(body, key)
            if answer.status_code != 202:
                return answer
        raise AssertionError("there is no limit")

    async def probe(self) -> list[int]:
        paths = (f"{self._root}/health/live", f"{self._root}/health/ready", f"{self._root}/")
        return [(await self._api.get(path)).status_code for path in paths]

    async def get(self, credential: str) -> httpx.Response:
        return await self._api.get("/classes", headers=bearer(credential) if credential else {})


@pytest.mark.parametrize("what", BODIES)
async def test_one_address_leaves_half_of_a_key_to_others(counting: Replica, what: str) -> None:
    body = BODIES[what]
    async with client(counting.url, token(f"root of {what}", "admin")) as api:
        key, other = [(await create(api, "/ingest-keys", name="x"))["key"] for _ in range(2)]
    async with Place(counting) as here, Place(counting) as there:
        refused = await here.exhaust(body, key)
        assert refused.status_code == 503
        assert what in refused.json()["detail"]
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        for place, credential in ((there, key), (here, other), (there, other)):
            assert (await place.post(body, credential)).status_code == 202
        assert (await there.exhaust(body, key)).status_code == 503


async def test_what_is_no_ingest_is_refused_by_429(counting: Replica) -> None:
    async with Place(counting) as here:
        statuses = [(await here.get(token("jiro"))).status_code for _ in range(OF_STUDENT + 1)]
        assert statuses == [200] * OF_STUDENT + [429]
        refused = await here.get(token("jiro"))
        assert (await here.get(token("saburo"))).status_code == 200
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("credential", ["", "no.valid.token"])
async def test_a_flood_without_credentials_is_refused_and_nobody_else_is(
    counting: Replica, credential: str
) -> None:
    async with Place(counting) as here:
        statuses = [(await here.get(credential)).status_code for _ in range(REQUESTS + 1)]
        assert statuses == [401] * REQUESTS + [429]
        assert (await here.get(token("goro"))).status_code == 200
        assert await here.probe() == [200, 200, 200]


async def test_a_retry_costs_nothing_of_a_days_quota(rationed: Replica) -> None:
    async with client(rationed.url, token("root", "admin")) as api:
        key = (await create(api, "/ingest-keys", name="x"))["key"]
    event = {"eventType": "help", "userId": "hanako", "eventId": str(uuid.uuid4())}
    async with Place(rationed) as here, Place(rationed) as there:
        for _ in range(30):
            assert (await here.post(json.dumps([event]).encode(), key)).status_code == 202
        others = json.dumps([SMALL] * 9).encode()
        assert (await here.post(others, key)).status_code == 202
        refused = await here.post(others, key)
        assert refused.status_code == 503
        assert "from one address" in refused.json()["detail"]
        assert (await there.post(others, key)).status_code == 202


async def test_commands_on_a_socket_are_counted(counting: Replica) -> None:
    address = f"127.0.0.{next(_addresses)}"
    url = f"ws://127.0.0.1:{counting.port}/ws"
    protocols = subprotocols(token("shiro"))
    async with connect(url, proxy=None, subprotocols=protocols, local_addr=(address, 0)) as socket:
        listener = Listener(socket)
        await listener.next()
        for _ in range(OF_STUDENT - 1):
            assert (await listener.send(action="ping"))["event"] == "pong"
        answer = await listener.send(action="ping")
        assert (answer["event"], answer["data"]["code"]) == ("error", "over_limit")
        assert "noise" not in (await listener.send(action="noise"))["data"]["message"]
