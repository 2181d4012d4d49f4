"""Long work in the event loop, in pieces: others take their turns between them."""

import asyncio
import time

from monitor.errors import Busy

_PIECE = 0.002  # seconds


class Pace:
    """Says when a piece of work has taken long enough.

    `timeout` (s) bounds the work as a whole, from now on.
    """

    def __init__(self, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._piece_ends = time.monotonic() + _PIECE

    @property
    def is_due(self) -> bool:
        """Whether to `rest` now. A property, since it is asked often."""
        return time.monotonic() >= self._piece_ends

    @property
    def left(self) -> float:
        """Seconds until the deadline; 0 after it."""
        return max(0.0, self._deadline - time.monotonic())

    async def rest(self) -> None:
        """Lets others go on. Raises Busy after the deadline."""
        if not self.left:
            raise Busy("A view took too long")
        await asyncio.sleep(0)
        self._piece_ends = time.monotonic() + _PIECE
