"""Sets senders' clocks right: by how much a student's laptop is off, judged by what arrives when.

A sender is a student and a session. Its offset is what to add to the times that it claims. Nothing
arrives before it was sent, so the delay of an event, its receipt minus its claimed time, is never
below the true offset; it may be far above, where a network was slow or events lay in a queue.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

_TRUSTED = timedelta(seconds=60)  # a delay this small hardly happens by chance
_RIGHT = timedelta(seconds=1)  # a clock this close is taken to be right
_JUMP = timedelta(seconds=15)  # a delay this far above the offset may be a clock put back
_ALIKE = 0.25  # by this share may two clocks differ, and still run alike
_ALIKE_AT_LEAST = timedelta(seconds=0.5)
_BURST = timedelta(seconds=1)  # events closer than this say nothing about how a clock runs
ZERO = timedelta(0)


class Moment(NamedTuple):
    """When an event happened by its sender's clock, and when it was received."""

    claimed: datetime
    received: datetime

    @property
    def delay(self) -> timedelta:
        return self.received - self.claimed


class SenderClock(NamedTuple):
    """What is known of a sender's clock. `offset` is None while nothing is.

    `doubtful` is the first of the latest events whose delay the offset does not explain.
    """

    offset: timedelta | None = None
    doubtful: Moment | None = None

    @property
    def explained(self) -> tuple[timedelta, timedelta]:
        """Events whose delay lies between these two leave the clock as it is."""
        if self.offset is None or self.doubtful:
            return timedelta.max, timedelta.min
        return self.offset, self.offset + _JUMP

    def explains_since(self, before: "SenderClock") -> Moment | None:
        """The event from which on this clock, not the one before, has been the sender's."""
        if self.doubtful or self.offset is None or before.doubtful is None:
            return None
        return before.doubtful if self.offset > (before.offset or ZERO) + _JUMP else None

    def after(
        self, event: Moment, previous: Moment | None, sent_offset: timedelta | None
    ) -> "SenderClock":
        """The clock after an event: of several that were sent together, that of the least delay.

        `previous` is the sender's event before it, if it is known; `sent_offset` the time of
        receipt minus that of sending, by the sender's clock, if the sender says.
        """
        delay = event.delay if sent_offset is None else min(event.delay, sent_offset)
        offset = self.offset or ZERO
        is_trusted = abs(delay) <= _TRUSTED and (self.offset is None or abs(offset) > _TRUSTED)
        if is_trusted or delay < offset:
            return SenderClock(_settled(delay))
        if delay <= offset + _JUMP:
            return SenderClock(self.offset)
        if sent_offset is not None:
            return SenderClock(_settled(delay))
        return self._doubting(event, previous)

    def _doubting(self, event: Moment, previous: Moment | None) -> "SenderClock":
        """A clock that was put back runs on; events from a queue arrive in no such rhythm."""
        reference = self.doubtful or previous
        if reference is None:
            return SenderClock(self.offset, event)
        if event.received - reference.received < _BURST:
            return SenderClock(self.offset, self.doubtful or event)
        if _run_alike(reference, event):
            return SenderClock(_settled(event.delay))
        return SenderClock(self.offset, event)


def _settled(delay: timedelta) -> timedelta:
    """The offset that a delay shows: none, if the way of the event can explain it."""
    return ZERO if ZERO <= delay <= _RIGHT else delay


def _run_alike(first: Moment, second: Moment) -> bool:
    claimed, received = second.claimed - first.claimed, second.received - first.received
    return abs(claimed - received) <= _ALIKE * received + _ALIKE_AT_LEAST
