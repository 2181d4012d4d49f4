"""Noise where anybody can send it: no 500, no crash, no growth of memory, and health answers."""

import gzip
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.sync.client import ClientConnection, connect

from tests.conftest import CAPTURED
from tests.replicas import Replica

INPUTS = int(os.environ.get("FUZZ_EXAMPLES", "300"))  # 100000 in the long form
ROUND = min(INPUTS, 1000)  # inputs, all of which hypothesis remembers
OFTEN = 100  # inputs between two looks at the server's health
MAX_GROWTH = 64 * 1024 * 1024  # bytes
logger = logging.getLogger(__name__)

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


@st.composite
def mutated(draw: Callable[..., Any], bodies: st.SearchStrategy[bytes]) -> bytes:
    """With some of its parts cut out, and others put in."""
    body: bytes = draw(bodies)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        put_in = draw(st.sampled_from(TOKENS) | st.binary(max_size=4))
        body = body[:start] + put_in + body[start + draw(st.integers(0, 9)) :]
    return body


BODIES = st.one_of(
    st.binary(max_size=200),
    EVENTS.map(encoded),
    mutated(EVENTS.map(encoded)),
    mutated(SENT),
)
INTERVALS = JSONISH.filter(lambda value: not isinstance(value, int) or not 9 < value <= 10_000)
COMMANDS = st.fixed_dictionaries(
    {"action": st.sampled_from(["subscribe", "unsubscribe", "ping", "presence"])},
    optional={
        "channels": st.lists(st.text(max_size=9) | st.just("progress:*"), max_size=3),
        "since": JSONISH,
        "coalesce": INTERVALS,  # longer ones only make it wait
    },
).map(encoded)
FRAMES = st.one_of(
    st.binary(max_size=200),
    JSONISH.map(encoded),
    COMMANDS,
    mutated(COMMANDS),
    st.one_of(COMMANDS, mutated(COMMANDS)).map(lambda frame: frame.decode("utf-8", "replace")),
)


def rss(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 - a file of the kernel
        return int(file.read().split()[1]) * 4096


@contextmanager
def watched(replica: Replica) -> Iterator[Callable[[], None]]:
    """What is to be called after each input."""
    assert replica.process
    pid, start, inputs = replica.process.pid, time.monotonic(), 0
    before = rss(pid)
    with httpx.Client(base_url=replica.url, timeout=15) as api:

        def look() -> None:
            nonlocal inputs
            inputs += 1
            if inputs % OFTEN == 0:
                assert api.get("/health/ready").status_code == 200

        yield look
        assert api.get("/health").json()["status"] == "ok"
    after, seconds = rss(pid), time.monotonic() - start
    logger.info(
        "%d inputs in %.0f s; RSS from %d to %d MB", inputs, seconds, before >> 20, after >> 20
    )
    assert inputs >= INPUTS
    assert replica.process.poll() is None
    assert "Traceback" not in replica.output()
    assert after - before < MAX_GROWTH


def test_noise_on_events(shared_replica: Replica) -> None:
    with (
        httpx.Client(base_url=shared_replica.url, timeout=15) as api,
        watched(shared_replica) as look,
    ):

        @noise
        @given(BODIES, st.sampled_from(["", "gzip", "broken"]))
        def posted(body: bytes, encoding: str) -> None:
            headers = {"Content-Type": "application/json"}
            if encoding:
                headers["Content-Encoding"] = "gzip"
                body = gzip.compress(body)
            if encoding == "broken":
                middle = len(body) // 2
                body = body[:middle] + b"\xff" + body[middle:]
            answer = api.post("/api/v1/events", content=body, headers=headers)
            expected = (202, 422, 400) if encoding else (202, 422)
            assert answer.status_code in expected, (body, answer.text)
            look()

        for _ in range(0, INPUTS, ROUND):
            posted()


def test_noise_on_sockets(shared_replica: Replica) -> None:
    url = f"ws://127.0.0.1:{shared_replica.port}/ws"
    with watched(shared_replica) as look:
        for _ in range(0, INPUTS, ROUND):
            # Its own pings would draw on the random numbers that the noise is made with.
            with connect(url, proxy=None, ping_interval=None) as socket:
                send_noise(socket, look)


def send_noise(socket: ClientConnection, look: Callable[[], None]) -> None:
    @noise
    @given(FRAMES)
    def sent(frame: str | bytes) -> None:
        socket.send(frame)
        answered(socket)
        look()

    sent()


def answered(socket: ClientConnection) -> None:
    """Reads up to the answer of a ping that is sent behind the noise."""
    socket.send('{"action": "ping"}')
    deadline = time.monotonic() + 10
    while '"pong"' not in str(socket.recv(5)):
        assert time.monotonic() < deadline
