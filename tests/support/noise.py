"""What the tests that send noise share: how much, and that it did the server no harm."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tests.support.replicas import Replica

INPUTS = int(os.environ.get("FUZZ_INPUTS", "1000"))  # 100000 in the long form
_MAX_GROWTH = 64 * 1024 * 1024  # bytes
# A client on a busy machine may send on a connection that the server, after 5 s, is just closing.
LIMITS = httpx.Limits(keepalive_expiry=2.0)  # seconds
logger = logging.getLogger(__name__)


@contextmanager
def watched(replica: Replica, inputs: int) -> Iterator[Callable[[int], None]]:
    """The function to call after each round, with the number of inputs that were sent in it.

    At the end at least `inputs` were sent, nothing crashed, and the memory hasn't grown much.
    """
    assert replica.process
    pid, start, sent = replica.process.pid, time.monotonic(), 0
    before, logged = _rss(pid), len(replica.output())
    with httpx.Client(base_url=replica.url, timeout=15) as api:

        def look(count: int) -> None:
            nonlocal sent
            sent += count
            assert api.get("/health/ready").status_code == 200

        yield look
        assert api.get("/health").json()["status"] == "ok"
    after, seconds = _rss(pid), time.monotonic() - start
    logger.info(
        "%d inputs in %.0f s; RSS from %d to %d MB", sent, seconds, before >> 20, after >> 20
    )
    assert sent >= inputs
    assert replica.process.poll() is None
    assert "Traceback" not in replica.output()[logged:]
    assert after - before < _MAX_GROWTH


def _rss(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 - a file of the kernel
        return int(file.read().split()[1]) * 4096
