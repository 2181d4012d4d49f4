"""The load generator, wrk: a process of its own that costs next to nothing."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from bench.figures import BenchError
from bench.workload import EVENTS

SCRIPT = Path(__file__).with_name("events.lua")
PUBLISH = Path(__file__).with_name("publish.lua")
MISSING = "wrk is missing: `apt-get install wrk`, or `brew install wrk`"


class Result(msgspec.Struct):
    """The measurements of wrk."""

    requests: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Load:
    """A running wrk."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def result(self) -> Result:
        """Waits for the end of the run. Raises BenchError if a request failed."""
        output, _ = self._process.communicate()
        results = [line[7:] for line in output.splitlines() if line.startswith("RESULT ")]
        if self._process.returncode or not results:
            raise BenchError(f"wrk failed:\n{output}")
        result = msgspec.json.decode(results[0], type=Result)
        if result.failed or not result.requests:
            raise BenchError(f"{result.failed} of wrk's requests were not answered by a 2xx")
        return result


def load(
    port: int, *, batch: int, connections: int, seconds: int, query: str = ""
) -> AbstractContextManager[Load]:
    """Runs wrk in the background: a closed loop of requests with `batch` new events each."""
    arguments = [str(batch), str(random.getrandbits(48))]
    return _wrk(f"http://127.0.0.1:{port}{EVENTS}{query}", SCRIPT, connections, seconds, arguments)


def publish(port: int, *, connections: int, seconds: int) -> AbstractContextManager[Load]:
    """The same with messages for nchan."""
    return _wrk(f"http://127.0.0.1:{port}/publish", PUBLISH, connections, seconds, [])


@contextmanager
def _wrk(
    url: str, script: Path, connections: int, seconds: int, arguments: list[str]
) -> Iterator[Load]:
    if not shutil.which("wrk"):
        raise BenchError(MISSING)
    limits = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    process = subprocess.Popen(
        ["wrk", *limits, "-s", str(script), url, "--", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Load(process)
    finally:
        process.kill()
        process.wait()


def run(port: int, *, batch: int, connections: int, seconds: int, query: str = "") -> Result:
    """Runs wrk to its end."""
    with load(port, batch=batch, connections=connections, seconds=seconds, query=query) as running:
        return running.result()
