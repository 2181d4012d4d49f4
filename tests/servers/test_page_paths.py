"""Paths of the page that are no file: not found, without a loop or a traceback."""

import asyncio

import httpx
import pytest

from tests.support.replicas import Replica

NO_FILES = [
    "/page",
    "/page/",
    "/page//",
    "/page/.",
    "/page/..",
    "/page/%00",
    "/page/main.js%00",
    "/page/..%2f",
    "/page/..%2f..%2fapp.py",
    "/page/%2fetc%2fpasswd",
    "/page/main.js/x",
    "/page/" + "x" * 300,
    "/page/" + "x/" * 3000,
    "/page/%ff",
    "/join",
    "/join/",
]


async def ask(replica: Replica, path: str) -> bytes:
    """The answer to a path as it is: httpx would put it in order first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


@pytest.mark.parametrize("path", NO_FILES)
async def test_what_is_no_file_is_not_found(shared_replica: Replica, path: str) -> None:
    answer = await ask(shared_replica, path)
    assert answer.startswith(b"HTTP/1.1 404 "), answer
    assert "Traceback" not in shared_replica.output()


async def test_a_file_is_found_without_a_slash_after_it_and_with_one(
    shared_replica: Replica,
) -> None:
    async with httpx.AsyncClient(base_url=shared_replica.url) as api:
        for path in ("/page/main.js", "/page/main.js/", "/api/v1/classes/"):
            assert (await api.get(path)).status_code == 200, path
