"""Asks a server for a view, over and over."""

import http.client
import time
from collections.abc import Callable

from bench.figures import BenchError, percentile
from bench.server import Server

CALLS, WARM_UP = 200, 20
ROUNDS = 3


def p95(server: Server, url: Callable[[], str]) -> float:
    """The 95th percentile (ms) of CALLS calls, one after the other, of what `url` returns."""
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    times = []
    for _ in range(WARM_UP + CALLS):
        path = f"/api/v1{url()}"
        start = time.perf_counter()
        client.request("GET", path)
        answer = client.getresponse()
        body = answer.read()
        times.append(1e3 * (time.perf_counter() - start))
        if answer.status != 200:
            raise BenchError(f"{path} is answered {answer.status}: {body[:200]!r}")
    client.close()
    return percentile(times[WARM_UP:], 0.95)
