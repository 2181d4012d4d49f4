"""Behind nginx, Apache and Caddy, below a path that they keep or take away, at other addresses."""

import asyncio
import json
import socket
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.events import event
from tests.support.postgres import Address, environment_of
from tests.support.proxies import ApacheProxy, CaddyProxy, NginxProxy
from tests.support.replicas import Replica
from tests.support.servers import free_port
from tests.support.tokens import SECRET, bearer, subprotocols, token
from tests.support.waiting import eventually

PRIVATE_NETWORK = "access-control-allow-private-network"
CADDY = "reverse_proxy /monitor/* 127.0.0.1:8000"
PROXIES = {
    "nginx": (NginxProxy, {}),
    "nginx that takes the path away": (NginxProxy, {":8000;": ":8000/;"}),
    "nginx with its own Host": (NginxProxy, {"proxy_set_header Host $http_host;": ""}),
    "apache": (ApacheProxy, {}),
    "apache that takes the path away": (ApacheProxy, {":8000/monitor/": ":8000/"}),
    "apache with its own Host": (ApacheProxy, {"ProxyPreserveHost On": ""}),
    "caddy": (CaddyProxy, {}),
    "caddy that takes the path away": (
        CaddyProxy,
        {CADDY: "handle_path /monitor/* {\n\t\treverse_proxy 127.0.0.1:8000\n\t}"},
    ),
    "caddy with its own Host": (
        CaddyProxy,
        {CADDY: f"{CADDY} {{\n\t\theader_up Host {{upstream_hostport}}\n\t}}"},
    ),
}


@pytest.mark.needs("nginx", "apache", "caddy")
@pytest.mark.parametrize("name", PROXIES)
async def test_all_is_there_below_a_path(postgres: Address, tmp_path: Path, name: str) -> None:
    kind, changes = PROXIES[name]
    port = free_port()
    url = f"http://127.0.0.1:{port}/monitor"
    settings = {"PUBLIC_URL": url, "TRUSTED_PROXIES": "127.0.0.1", "JWT_SECRET": SECRET}
    with (
        Replica(environment_of(postgres, tmp_path) | settings) as replica,
        kind(tmp_path, port, replica.port, changes),
    ):
        await walk(url)


@pytest.mark.needs("nginx", "apache", "caddy")
@pytest.mark.parametrize("name", [name for name in PROXIES if "own Host" not in name])
async def test_all_is_there_below_a_path_at_whatever_address(
    postgres: Address, tmp_path: Path, name: str
) -> None:
    """Of the address only the path is set: a proxy that keeps the Host tells the rest."""
    kind, changes = PROXIES[name]
    port = free_port()
    settings = {"ROOT_PATH": "/monitor", "TRUSTED_PROXIES": "127.0.0.1", "JWT_SECRET": SECRET}
    with (
        Replica(environment_of(postgres, tmp_path) | settings) as replica,
        kind(tmp_path, port, replica.port, changes),
    ):
        for number, host in enumerate(("127.0.0.1", "localhost")):
            await walk(f"http://{host}:{port}/monitor", f"class {number}")


async def walk(url: str, code: str = "A") -> None:
    """What a teacher's browser and a student's extension ask for."""
    origin = {"Origin": url.rpartition("/")[0]}
    async with httpx.AsyncClient(headers=origin, follow_redirects=True, timeout=15) as browser:
        page = await browser.get(url)
        assert str(page.url) == f"{url}/"
        for path in ("page/main.js", "page/style.css", "docs", "docs/start.js"):
            assert (await browser.get(urljoin(f"{url}/", path))).status_code == 200, path
        described = f"{url}/api/v1/openapi.json"
        administrator = bearer(token("root", "admin"))
        document = (await browser.get(described, headers=administrator)).json()
        assert urljoin(described, document["servers"][0]["url"]) in (url, f"{url}/")
        teacher = bearer(token("sensei", "instructor"))
        created = await browser.post(
            f"{url}/api/v1/classes", json={"name": "A", "class_code": code}, headers=teacher
        )
        assert created.status_code == 201, created.text
        invite = f"{url}/api/v1/classes/{created.json()['id']}/invite"
        link = (await browser.post(invite, headers=teacher)).json()["url"]
        assert link.startswith(f"{url}/join/")
        assert (await browser.get(link)).status_code == 200
        websocket = f"{url.replace('http', 'ws', 1)}/ws?channels=progress:*"
        protocols = subprotocols(token("root", "admin"))
        async with connect(
            websocket, proxy=None, subprotocols=protocols, additional_headers=origin
        ) as channel:
            assert json.loads(await channel.recv())["event"] == "subscribed"
            events = f"{url}/api/v1/events"
            answer = await browser.post(events, json=[event()], headers=administrator)
            assert answer.json()["stored"] == 1
            message = json.loads(await asyncio.wait_for(channel.recv(), 15))
            assert message["event"] == "execution_update"


async def test_a_refused_origin_is_one_line_that_says_which_setting(
    postgres: Address, tmp_path: Path
) -> None:
    with Replica(environment_of(postgres, tmp_path) | {"JWT_SECRET": SECRET}) as replica:
        headers = bearer(token("sensei", "instructor")) | {"Origin": "https://school.example"}
        async with httpx.AsyncClient(base_url=replica.url, headers=headers) as page:
            for _ in range(3):
                assert (await page.get("/api/v1/classes")).status_code == 403
            assert (await page.get("/page/main.js")).status_code == 200
            preflight = {
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Private-Network": "true",
            }
            asked = await page.options("/api/v1/events", headers=preflight)
            assert asked.headers[PRIVATE_NETWORK] == "true"
            refused = await page.options("/api/v1/classes", headers=preflight)
            assert (refused.status_code, PRIVATE_NETWORK in refused.headers) == (400, False)
        await eventually(lambda: "set PUBLIC_URL" in replica.output())
        assert replica.output().count("https://school.example") == 1


async def test_both_families_reach_all_addresses(postgres: Address, tmp_path: Path) -> None:
    settings = {"HOST": "::", "JWT_SECRET": SECRET}
    with Replica(environment_of(postgres, tmp_path) | settings) as replica:
        async with httpx.AsyncClient() as client:
            for host in ("127.0.0.1", "[::1]"):
                answer = await client.get(f"http://{host}:{replica.port}/health/live")
                assert answer.status_code == 200


async def test_a_socket_takes_a_proxys_requests(postgres: Address, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    environment = environment_of(postgres, tmp_path) | {"HOST": f"unix:{path}"}
    replica = SocketReplica(environment, path)
    with replica:
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.post("/api/v1/events", json=[event()])
            assert answer.json()["stored"] == 1
            assert (await client.get("/api/v1/students")).status_code == 200


class SocketReplica(Replica):
    """One that listens on a Unix socket."""

    def __init__(self, environment: dict[str, str], path: Path) -> None:
        super().__init__(environment)
        self._path = path

    def _is_up(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._path)) == 0
