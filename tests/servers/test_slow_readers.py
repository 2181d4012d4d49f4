"""Large answers: a slow reader gets all of it, and one who reads nothing costs only themselves."""

import asyncio
import json
import socket
from contextlib import ExitStack, closing
from typing import Any

import httpx
import psutil
import pytest

from tests.support.fixtures import replica_fixture
from tests.support.lms import create, unique
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, bearer, client, token

TIMEOUT = 2  # seconds
SIZE = 12 * 1024 * 1024  # bytes of a hand-in
MIB = 1024 * 1024

impatient = replica_fixture("module", JWT_SECRET=SECRET, REQUEST_TIMEOUT=str(TIMEOUT))


def notebook() -> dict[str, Any]:
    cell = {"cell_type": "markdown", "metadata": {}, "source": "x" * SIZE}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]}


@pytest.fixture
async def path(impatient: Replica) -> str:
    """The path of a large hand-in of hanako's."""
    async with client(impatient.url, token("root", "admin")) as api:
        made = await create(api, "/classes", name="x", class_code=unique("x"))
        named = {"path": unique("l.ipynb"), "name": "l", "class_id": made["id"]}
        lesson = await create(api, "/notebooks", **named)
        fields = {"class_id": made["id"], "notebook_id": lesson["id"], "title": "l"}
        assignment = await create(api, "/assignments", **fields)
        student = (await api.get("/students", params={"user_id": "hanako"})).json()
        student = student or [await create(api, "/students", user_id="hanako")]
        line = {"student_id": student[0]["id"]}
        assert (await api.post(f"/classes/{made['id']}/students", json=line)).is_success
        body = {"assignment_id": assignment["id"], "user_id": "hanako"}
        handed_in = await api.post(
            "/submissions",
            content=json.dumps(body | {"notebook_content": notebook()}),
            headers={"Content-Type": "application/json"},
            timeout=30,
        )
    return f"/api/v1/submissions/{handed_in.json()['id']}"


async def ask(replica: Replica, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", replica.port, limit=64 * 1024)
    credential = bearer(token("hanako"))["Authorization"]
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {credential}\r\n\r\n".encode())
    return reader, writer


async def test_who_reads_slowly_gets_the_whole_answer(impatient: Replica, path: str) -> None:
    reader, writer = await ask(impatient, path)
    with closing(writer):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0]
        size = int(head.lower().partition(b"content-length: ")[2].split()[0])
        assert size > SIZE
        received = 0
        while received < size:  # some 2 MiB a second: three times as long as the timeout
            received += len(await reader.readexactly(min(MIB // 4, size - received)))
            await asyncio.sleep(0.12)


async def test_who_reads_the_end_slowly_gets_it_too(impatient: Replica, path: str) -> None:
    """What is left is in the kernel, which takes more from the server in large steps only."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    raw.connect(("127.0.0.1", impatient.port))
    raw.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=raw, limit=64 * 1024)
    credential = bearer(token("hanako"))["Authorization"]
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {credential}\r\n\r\n".encode())
    with closing(writer):
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length: ")[2].split()[0])
        while left > 0:
            left -= len(await reader.readexactly(min(MIB // 16, left)))
            if left < 4 * MIB:  # a third of a MiB a second
                await asyncio.sleep(0.18)


async def test_who_reads_nothing_is_refused_more(impatient: Replica, path: str) -> None:
    assert impatient.process
    server = psutil.Process(impatient.process.pid)
    before = server.memory_info().rss
    with ExitStack() as connections:
        readers = []
        for _ in range(20):
            reader, writer = await ask(impatient, path)
            connections.enter_context(closing(writer))
            readers.append(reader)
        lines = [await reader.readline() for reader in readers]
        statuses = {line.split()[1] for line in lines}
        assert statuses == {b"200", b"429"}
        assert server.memory_info().rss < before + 160 * MIB
        async with httpx.AsyncClient(base_url=impatient.url) as api:
            root = bearer(token("root", "admin"))
            assert (await api.get(path, headers=root, timeout=15)).status_code == 200
            health = (await api.get("/health", headers=root)).json()
            assert health["shares"]["refused"]["bytes of answers that are not read yet"] > 0
