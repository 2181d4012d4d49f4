"""`python -m tests.noisy.watch URL PID SECONDS`: probes a server, and measures its memory.

A process of its own, so that nothing else delays the probes. Prints a Watched as JSON.
"""

import http.client
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil

PROBE_INTERVAL = 0.05  # seconds
TIMEOUT = 30.0  # seconds
EACH_READY = 20  # probes: one in so many also asks whether the server is ready
EACH_MEMORY = 5


class Watched(msgspec.Struct):
    """The slowest probe of `/health/live` (s), the most memory (bytes), and probes that failed."""

    slowest: float = 0.0
    memory: int = 0
    failed: list[str] = []


class Watch:
    """The process that watches a replica."""

    def __init__(self, url: str, pid: int, seconds: float) -> None:
        command = [sys.executable, "-m", "tests.noisy.watch", url, str(pid), str(seconds)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def result(self) -> Watched:
        """What it has seen, once its time is over."""
        output, _ = self._process.communicate(timeout=TIMEOUT * 4)
        assert self._process.returncode == 0
        return msgspec.json.decode(output, type=Watched)


def watch(url: str, pid: int, seconds: float) -> Watched:
    watched = Watched()
    server = psutil.Process(pid)
    ending = time.monotonic() + seconds
    number = 0
    while (began := time.monotonic()) < ending:
        _probe(url, "/health/live", watched)
        watched.slowest = max(watched.slowest, time.monotonic() - began)
        if number % EACH_READY == 0:
            _probe(url, "/health/ready", watched)
        if number % EACH_MEMORY == 0:
            watched.memory = max(watched.memory, _memory(server))
        number += 1
        time.sleep(max(0.0, began + PROBE_INTERVAL - time.monotonic()))
    watched.memory = max(watched.memory, _most_memory(pid))
    return watched


def _probe(url: str, path: str, watched: Watched) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
        if status != 200:
            watched.failed.append(f"{path} {status}")
    except (OSError, http.client.HTTPException) as error:
        watched.failed.append(f"{path} {type(error).__name__}")
    finally:
        connection.close()


def _memory(server: psutil.Process) -> int:
    """Resident bytes of the server and its helper processes."""
    total = server.memory_info().rss
    for child in server.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:  # it has ended meanwhile
            continue
    return int(total)


def _most_memory(pid: int) -> int:
    """The most resident bytes that the server alone has had: between two looks, too."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


if __name__ == "__main__":
    server_url, server_pid, duration = sys.argv[1:]
    result = watch(server_url, int(server_pid), float(duration))
    sys.stdout.write(msgspec.json.encode(result).decode())
