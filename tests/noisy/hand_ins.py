"""Attacks by hand-ins: costly notebooks, and large answers that are read slowly or never."""

import asyncio
import gzip
import json
import socket
from itertools import cycle
from typing import Any

from tests.noisy.attacker import JSON, Attacker, Connection
from tests.noisy.school import ATTACKER, ROUTER
from tests.support.lms import notebook

OUTPUTS, CELLS = 10_000, 5  # the most of a cell, and of such cells, that can be handed in
LARGE = 15_500_000  # bytes, a little less than a request may have
OUTPUT = 100_000  # bytes of an output that is handed in
RATE = 1_000_000  # bytes a second of a slow reader
UNREAD = 40  # answers at a time
HOLD = 10.0  # seconds that an answer stays unread
FORMULA = "$" + r"\frac{" * 50 + "x" + "}{y}" * 50 + "$"


async def broken_notebooks(attacker: Attacker) -> None:
    """Outputs of which each has an error: more of them than may be, and as many as may be."""
    output = b'{"output_type":"stream","name":"a","text":[1]}'
    contents = [_notebook(_cell(output, size // len(output))) for size in (500_000, LARGE)]
    contents.append(_notebook(*[_cell(output, OUTPUTS)] * CELLS))
    await _hand_in_each(attacker, contents)


async def large_notebooks(attacker: Attacker) -> None:
    """Valid ones, of as many outputs as may be."""
    text = b"x" * (LARGE // (OUTPUTS * CELLS) - 70)
    output = b'{"output_type":"stream","name":"stdout","text":["%s"]}' % text
    await _hand_in_each(attacker, [_notebook(*[_cell(output, OUTPUTS)] * CELLS)])


async def odd_notebooks(attacker: Attacker) -> None:
    """Cells of deep metadata, of keys that nobody knows, of empty lines; and far too many cells."""
    deep = b'{"a":' * 200 + b"1" + b"}" * 200
    cells = [
        b'{"cell_type":"?","metadata":{"x":%s},"source":[1],"y":0}' % deep,
        b'{"cell_type":"code","id":"%s","metadata":{},"source":[%s],"outputs":[]}'
        % (b"i" * 200, b'"",' * 300 + b'""'),
        b'{"cell_type":"markdown","metadata":{%s},"source":""}'
        % b",".join(b'"%d":0' % number for number in range(150)),
    ]
    contents = [_notebook(*[cell] * (OUTPUTS - 1)) for cell in cells]
    empty = b'{"cell_type":"markdown","metadata":{},"source":""}'
    contents.append(_notebook(*[empty] * (LARGE // len(empty) - 10_000)))
    await _hand_in_each(attacker, contents)


async def small_notebooks(attacker: Attacker) -> None:
    """As many hand-ins as possible."""
    body = _hand_in(attacker, json.dumps(notebook("x")).encode())
    await attacker.repeat(lambda: _post(attacker, body), at_once=32)


async def bombs(attacker: Attacker) -> None:
    """Bodies that are larger once they are decompressed."""
    bomb = gzip.compress(b"[" + b" " * 200_000_000 + b"]")
    layers = b"".join([gzip.compress(b" " * 1_000_000)] * 15) + gzip.compress(b"[]")
    headers = {"Content-Encoding": "gzip"}

    async def once() -> None:
        for body in (bomb, layers):
            await attacker.post(body, **headers)
            await attacker.ask("POST", "/submissions", data=body, headers=JSON | headers)

    await attacker.repeat(once, at_once=8)


async def formulas(attacker: Attacker) -> None:
    """Formulas of a submission of one's own, which are converted for each answer."""
    sources = ["\n\n".join([FORMULA] * 100), r"\begin{matrix}" * 500, "*a **" * 20_000]
    submission = await _submit(attacker, json.dumps(notebook(*(sources * 10))).encode())
    path = f"/submissions/{submission}/markdown"
    await attacker.repeat(lambda: attacker.ask("GET", path), at_once=8)


async def unread_answers(attacker: Attacker) -> None:
    """Asks for a large answer, and reads nothing of it."""
    request = await _large_answer(attacker)

    async def once() -> None:
        with await _narrow(attacker) as connection:
            connection.writer.write(request)
            attacker.outcomes["unread"] += 1
            await asyncio.sleep(HOLD)

    await attacker.repeat(once, at_once=UNREAD)


async def slow_reader(attacker: Attacker) -> None:
    """Reads a large answer as fast as a poor line can: that must succeed."""
    request = await _large_answer(attacker)

    async def once() -> None:
        with await _narrow(attacker) as connection:
            connection.writer.write(request)
            attacker.outcomes["reading"] += 1
            received = 0
            while part := await connection.reader.read(65_536):
                received += len(part)
                if received >= LARGE:
                    attacker.outcomes["whole"] += 1
                    return
                await asyncio.sleep(len(part) / RATE)
            attacker.outcomes["cut off"] += 1

    await attacker.repeat(once, at_once=2)


async def stalled_bodies(attacker: Attacker) -> None:
    """Sends all but the end of bodies that are as large as a body may be."""
    length = f"Content-Length: {16_600_000}"
    part = b'{"assignment_id":' + b" " * 16_500_000
    paths = ["/api/v1/submissions"] * 8 + ["/api/v1/events"] * 4
    turns = cycle(paths)

    async def once() -> None:
        path = next(turns)
        with await attacker.connect() as connection:
            head = attacker.head("POST", path, length, "Content-Type: application/json")
            connection.writer.write(head + part)
            answer = await connection.reader.read(12)
            attacker.outcomes[answer[9:].decode() or "closed"] += 1

    await attacker.repeat(once, at_once=len(paths))


async def _hand_in_each(attacker: Attacker, contents: list[bytes]) -> None:
    """In turn, four at the same time."""
    bodies = cycle([_hand_in(attacker, content) for content in contents])
    await attacker.repeat(lambda: _post(attacker, next(bodies)), at_once=4)


async def _post(attacker: Attacker, body: bytes) -> None:
    await attacker.ask("POST", "/submissions", data=body, headers=JSON)


async def _submit(attacker: Attacker, content: bytes) -> int:
    """The id of a submission with this content. Fails if it can't be handed in."""
    body = _hand_in(attacker, content)
    while True:
        status, answer = await attacker.ask("POST", "/submissions", data=body, headers=JSON)
        if status == 201:
            return int(json.loads(answer)["id"])
        assert status in (429, 503), answer[:500]
        await asyncio.sleep(0.5)


async def _large_answer(attacker: Attacker) -> bytes:
    """A request for a submission of one's own."""
    output = b'{"output_type":"stream","name":"stdout","text":"%s"}' % (b"x" * OUTPUT)
    submission = await _submit(attacker, _notebook(_cell(output, LARGE // OUTPUT + 1)))
    return attacker.head("GET", f"/api/v1/submissions/{submission}")


async def _narrow(attacker: Attacker) -> Connection:
    """A connection whose client can hold little of an answer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    sock.setblocking(False)
    sock.bind((ROUTER, 0))
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", attacker.target.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=65_536)
    return Connection(reader, writer)


def _hand_in(attacker: Attacker, content: bytes) -> bytes:
    fields: dict[str, Any] = {"assignment_id": attacker.target.assignment_id, "user_id": ATTACKER}
    return json.dumps(fields)[:-1].encode() + b', "notebook_content": %s}' % content


def _cell(output: bytes, outputs: int) -> bytes:
    return (
        b'{"cell_type":"code","id":"c","metadata":{},"source":"","execution_count":1,"outputs":[%s]}'
        % b",".join([output] * outputs)
    )


def _notebook(*cells: bytes) -> bytes:
    content = b",".join(cells)
    return b'{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[%s]}' % content
