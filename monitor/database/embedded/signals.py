"""Signals that ask this process to end: what it has started is stopped first, and whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Raises Terminated in the block at the first SIGTERM, and ends the process by it afterwards.

    By default the signal ends Python at once, and leaves what a `with` would clean up. Further ones
    do nothing: the first is being obeyed. SIGHUP, of a terminal that was closed, counts as SIGTERM,
    also for a server that handles SIGTERM itself. SIGINT ends the process in the same way, by
    Python's KeyboardInterrupt. Signals that the parent ignores, as `nohup` does, stay ignored.
    """
    received: list[int] = []

    def end(signum: int, frame: FrameType | None) -> None:
        if not received:
            received.append(signum)
            raise Terminated

    handlers = {signal.SIGTERM: end, signal.SIGHUP: _terminate}
    previous = {each: signal.signal(each, handlers[each]) for each in _heeded() if each in handlers}
    try:
        yield
    except KeyboardInterrupt:
        received.append(signal.SIGINT)
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
    if received:
        signal.signal(received[0], signal.SIG_DFL)
        signal.raise_signal(received[0])


def _terminate(signum: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)


@contextmanager
def held_back() -> Iterator[None]:
    """Lets signals that ask to end take effect after the block: it does all of it, or nothing.

    In another thread than the main one, which handles signals, it does nothing.
    """
    received: list[int] = []
    previous = {
        each: signal.signal(each, lambda signum, _: received.append(signum)) for each in _heeded()
    }
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
        for signum in received[:1]:
            signal.raise_signal(signum)


def _heeded() -> list[signal.Signals]:
    """Those with a handler of Python's, or the default one; none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [each for each in _ENDING if signal.getsignal(each) not in (signal.SIG_IGN, None)]
