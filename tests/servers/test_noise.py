"""Noise where anybody can send it: no 500, no crash, no growth of memory, and health answers."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.sync.client import ClientConnection, connect

from tests.support.noise import INPUTS, LIMITS, watched
from tests.support.paths import CAPTURED
from tests.support.replicas import Replica

MUTANTS = 20  # of each example, the example among them, sent at once
ROUND = min(INPUTS // MUTANTS, 500)  # examples, all of which hypothesis remembers

noise = settings(
    max_examples=ROUND,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = ["eventType", "userId", "eventTime", "eventId", "cellIndex", "result", "metadata", "code"]
EVENTS = st.lists(st.dictionaries(st.sampled_from(FIELDS), JSONISH, max_size=8), max_size=3)
TOKENS = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"-1", b"1e999", b"9" * 400, b"\xff"]
TOKENS += [rb"\u0000", rb"\ud800", b"\0", b"[" * 2000, b'"userId":"x",', b'"hasError":1,', b"\r\n"]
SENT = st.sampled_from([line.encode() for line in CAPTURED.read_text().splitlines()])


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def mutants(example: bytes, seed: int) -> list[bytes]:
    """The example, and others with some of its parts cut out and others put in."""
    chance = Random(seed)
    bodies = [example]
    while len(bodies) < MUTANTS:
        body = example
        for _ in range(chance.randint(1, 4)):
            start, cut = chance.randint(0, len(body)), chance.choice((0, 1, 9))
            put_in = chance.choice([*TOKENS, chance.randbytes(chance.randint(0, 4))])
            body = body[:start] + put_in + body[start + cut :]
        bodies.append(body)
    return bodies


SEEDS = st.integers(0, 2**32)
BODIES = st.binary(max_size=200) | EVENTS.map(encoded) | SENT
INTERVALS = JSONISH.filter(lambda value: not isinstance(value, int) or not 9 < value <= 10_000)
COMMANDS = st.fixed_dictionaries(
    {"action": st.sampled_from(["subscribe", "unsubscribe", "ping", "presence"])},
    optional={
        "channels": st.lists(st.text(max_size=9) | st.just("progress:*"), max_size=3),
        "since": JSONISH,
        "coalesce": INTERVALS,  # longer ones only make it wait
    },
).map(encoded)
FRAMES = st.binary(max_size=200) | JSONISH.map(encoded) | COMMANDS


def request(body: bytes, encoding: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if encoding:
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body)
    if encoding == "broken":
        body = body[: len(body) // 2] + b"\xff" + body[len(body) // 2 :]
    return {"content": body, "headers": headers}


def test_noise_on_events(shared_replica: Replica) -> None:
    url = f"{shared_replica.url}/api/v1/events"
    with asyncio.Runner() as runner, watched(shared_replica, INPUTS) as look:
        api = httpx.AsyncClient(timeout=30, limits=LIMITS)

        async def post_all(requests: list[dict[str, Any]]) -> list[httpx.Response]:
            return await asyncio.gather(*(api.post(url, **each) for each in requests))

        @noise
        @given(BODIES, st.sampled_from(["", "gzip", "broken"]), SEEDS)
        def posted(example: bytes, encoding: str, seed: int) -> None:
            bodies = mutants(example, seed)
            answers = runner.run(post_all([request(body, encoding) for body in bodies]))
            for body, answer in zip(bodies, answers, strict=True):
                expected = (202, 422, 400) if encoding else (202, 422)
                assert answer.status_code in expected, (body, answer.text)
            look(MUTANTS)

        for _ in range(0, INPUTS, ROUND * MUTANTS):
            posted()
        runner.run(api.aclose())


def test_noise_on_sockets(shared_replica: Replica) -> None:
    url = f"ws://127.0.0.1:{shared_replica.port}/ws"
    with watched(shared_replica, INPUTS) as look:
        for _ in range(0, INPUTS, ROUND * MUTANTS):
            # Its own pings would draw on the random numbers that the noise is made with.
            with connect(url, proxy=None, ping_interval=None) as socket:
                send_noise(socket, look)


def send_noise(socket: ClientConnection, look: Callable[[int], None]) -> None:
    @noise
    @given(FRAMES, SEEDS, st.booleans())
    def sent(example: bytes, seed: int, as_text: bool) -> None:
        for frame in mutants(example, seed):
            socket.send(frame.decode("utf-8", "replace") if as_text else frame)
        answered(socket)
        look(MUTANTS)

    sent()


def answered(socket: ClientConnection) -> None:
    """Reads up to the answer of a command that is sent behind the noise."""
    socket.send('{"action": "unsubscribe", "channels": ["the last one"]}')
    deadline = time.monotonic() + 30
    while "the last one" not in str(socket.recv(30)):
        assert time.monotonic() < deadline
