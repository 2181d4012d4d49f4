"""Ports of this machine at which nothing answers."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support.servers import LOCALHOST, free_port


@contextmanager
def refusing() -> Iterator[int]:
    """Where nothing listens: connecting is refused at once."""
    yield free_port()


@contextmanager
def dropping() -> Iterator[int]:
    """Where a firewall drops what is sent: connecting never ends, as the queue for it is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOCALHOST, 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((LOCALHOST, port))
        yield port


@contextmanager
def silent() -> Iterator[int]:
    """Where connecting succeeds, and then nothing is said."""
    with socket.create_server((LOCALHOST, 0)) as listener:
        yield listener.getsockname()[1]
