"""A worker: does jobs that the server sends it, one after the other, and keeps nothing.

Its standard input is a socket to the server, at whose end it ends. It has a limit of memory, and
the kernel ends it when a job takes more processor time than it may: so it doesn't outlive a server
that was killed by more than that.
"""

import contextlib
import importlib
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

# What is asked: the bytes of the job's name and of its content, the seconds of processor time and
# the bytes of memory that it may take. What is answered: how it ended, whether the worker ends
# too, and the bytes that follow.
ASK = struct.Struct("!HQdQ")
ANSWER = struct.Struct("!c?Q")
DONE, OUT_OF_MEMORY, FAILED = b"d", b"m", b"f"

# Of the signals that end a program by default, one that nobody else sends.
OUT_OF_TIME = signal.SIGPROF

_NICENESS = 10  # the server goes first: it has everybody's events
_MAX_KEPT = 64 * 1024 * 1024  # bytes in memory; a worker that has more ends after its job


def main() -> None:
    """Does jobs until the server closes the socket. The arguments are modules to import first."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the server too, which stops in order
        signal.signal(number, signal.SIG_IGN)
    for module in sys.argv[1:]:
        importlib.import_module(module)
    os.nice(_NICENESS)
    connection = socket.socket(fileno=0)
    with connection.makefile("rb") as asked, contextlib.suppress(ConnectionError):
        while header := asked.read(ASK.size):
            if not _do(connection, asked, header):
                return


def _do(connection: socket.socket, asked: BinaryIO, header: bytes) -> bool:
    """Does one job, and says whether the worker can do another."""
    name_size, content_size, seconds, memory = ASK.unpack(header)
    _limit_memory(memory)
    module, function, argument = asked.read(name_size).decode().split(":", 2)
    status, answer = DONE, b""
    try:
        job = getattr(importlib.import_module(module), function)
        content = asked.read(content_size)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        answer = job(content, argument) if argument else job(content)
    except MemoryError:
        status = OUT_OF_MEMORY
    except Exception:  # noqa: BLE001 - the server logs it
        status, answer = FAILED, traceback.format_exc().encode()
    signal.setitimer(signal.ITIMER_PROF, 0)
    content = b""
    leaves = status == OUT_OF_MEMORY or _statm()[1] > _MAX_KEPT
    connection.sendall(ANSWER.pack(status, leaves, len(answer)))
    connection.sendall(answer)
    return not leaves


def _limit_memory(extra: int) -> None:
    """Allows this many bytes more than there are now, where the system can limit them."""
    if size := _statm()[0]:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = size + extra
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _statm() -> tuple[int, int]:
    """Bytes of address space, and of those the bytes in memory; zeros where there is no /proc."""
    try:
        size, resident, *_ = Path("/proc/self/statm").read_bytes().split()
    except OSError:
        return 0, 0
    page = resource.getpagesize()
    return int(size) * page, int(resident) * page


if __name__ == "__main__":
    main()
