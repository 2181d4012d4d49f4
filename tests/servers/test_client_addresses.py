"""The addresses of clients survive proxies: HAProxy with TLS, what is before it, and others."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.postgres import Address, environment_of
from tests.support.proxies import AnyProxy, ApacheProxy, CaddyProxy, NginxProxy, TlsFront
from tests.support.replicas import Replica
from tests.support.secured import Certificates
from tests.support.servers import HaproxyServer, free_port
from tests.support.tokens import SECRET, bearer, subprotocols, token

SCHOOL, OTHER_SCHOOL, LIAR = "127.0.0.2", "127.0.0.3", "127.0.0.4"
pytestmark = pytest.mark.needs("haproxy", "nginx", "apache", "caddy")


class Site:
    """A replica that allows two calls a minute, behind HAProxy as in docker-compose.prod.yml."""

    def __init__(self, replica: Replica, directory: Path, enter: ExitStack) -> None:
        self.replica = replica
        self.directory = directory
        self.certificates = Certificates(directory)
        self.pem = directory / "both.pem"
        files = self.certificates
        self.pem.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
        self.tls = ssl.create_default_context(cafile=str(self.certificates.authority))
        self._enter = enter

    def balancer(self, **variables: str) -> HaproxyServer:
        server = HaproxyServer(self.directory, [self.replica.port], variables)
        return self._enter.enter_context(server)

    def tls_front(self, balancer: HaproxyServer) -> TlsFront:
        front = TlsFront(self.directory, self.pem, balancer.port)
        return self._enter.enter_context(front)

    def below_a_path(self, kind: type[AnyProxy], behind: int) -> str:
        """The URL at a proxy of this kind."""
        proxy = self._enter.enter_context(kind(self.directory, free_port(), behind))
        return f"http://127.0.0.1:{proxy.port}/monitor"

    async def ask(self, url: str, address: str, **headers: str) -> int:
        """The status of a call without a credential, from this address."""
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=self.tls)
        async with httpx.AsyncClient(transport=transport, headers=headers) as client:
            return (await client.get(f"{url}/api/v1/classes")).status_code

    async def ask_from_all(self, url: str) -> list[int]:
        """The statuses of calls of a school at its limit, of a liar, and of another school."""
        lie = {"X-Forwarded-For": "127.0.0.99"}
        of_school = [await self.ask(url, SCHOOL) for _ in range(3)]
        lies = [await self.ask(url, SCHOOL, **lie), await self.ask(url, LIAR, **lie)]
        return [*of_school, *lies, await self.ask(url, OTHER_SCHOOL)]


@pytest.fixture
def site(postgres: Address, tmp_path: Path) -> Iterator[Site]:
    settings = {"JWT_SECRET": SECRET, "MINUTE_EVENTS": "10", "TRUSTED_PROXIES": "*"}
    environment = environment_of(postgres, tmp_path) | settings | {"ROOT_PATH": "/monitor"}
    with Replica(environment) as replica, ExitStack() as enter:
        yield Site(replica, tmp_path, enter)


def plain(site: Site) -> str:
    return f"http://127.0.0.1:{site.balancer().port}"


def its_own_tls(site: Site) -> str:
    return f"https://localhost:{site.balancer(TLS_CERTIFICATE=str(site.pem)).tls_port}"


def a_load_balancer(site: Site) -> str:
    balancer = site.balancer(PROXY_PROTOCOL_FROM=f"10.0.0.0/8 {TlsFront.address}")
    return f"https://localhost:{site.tls_front(balancer).port}"


def another_proxy(site: Site) -> str:
    balancer = site.balancer(FORWARDED_FROM="127.0.0.1 10.0.0.0/8")
    return site.below_a_path(NginxProxy, balancer.port)


def nginx(site: Site) -> str:
    return site.below_a_path(NginxProxy, site.replica.port)


def apache(site: Site) -> str:
    return site.below_a_path(ApacheProxy, site.replica.port)


def caddy(site: Site) -> str:
    return site.below_a_path(CaddyProxy, site.replica.port)


@pytest.mark.parametrize(
    "front", [plain, its_own_tls, a_load_balancer, another_proxy, nginx, apache, caddy]
)
async def test_each_school_has_its_own_limit(site: Site, front: Callable[[Site], str]) -> None:
    assert await site.ask_from_all(front(site)) == [401, 401, 429, 429, 401, 401]


async def test_without_the_setting_a_proxys_clients_share_its_limit(site: Site) -> None:
    url = site.below_a_path(NginxProxy, site.balancer().port)
    assert [await site.ask(url, SCHOOL) for _ in range(2)] == [401, 401]
    assert await site.ask(url, OTHER_SCHOOL) == 429


async def test_who_is_not_named_can_not_speak_the_protocol(site: Site) -> None:
    balancer = site.balancer(PROXY_PROTOCOL_FROM=TlsFront.address)
    request = b"GET /api/v1/classes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    statuses = []
    for address in (LIAR, TlsFront.address):
        opened = asyncio.open_connection("127.0.0.1", balancer.port, local_addr=(address, 0))
        reader, writer = await opened
        writer.write(b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 80\r\n" + request)
        statuses.append((await reader.readline()).split()[1])
        writer.close()
    assert statuses == [b"400", b"401"]


async def test_with_its_own_tls_links_and_sockets_are_secure(site: Site) -> None:
    url = its_own_tls(site)
    teacher = bearer(token("sensei", "instructor"))
    transport = httpx.AsyncHTTPTransport(verify=site.tls)
    async with httpx.AsyncClient(base_url=url, headers=teacher, transport=transport) as api:
        created = await api.post("/api/v1/classes", json={"name": "A", "class_code": "A"})
        class_id = created.json()["id"]
        invite = (await api.post(f"/api/v1/classes/{class_id}/invite")).json()
        assert invite["url"].startswith(f"{url}/monitor/join/")
    websocket = f"wss{url.removeprefix('https')}/ws?channels=broadcast"
    offered = subprotocols(token("hanako"))
    async with connect(websocket, proxy=None, ssl=site.tls, subprotocols=offered) as socket:
        assert '"subscribed"' in str(await socket.recv())
