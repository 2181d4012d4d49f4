"""What replicas tell each other, so that each has the messages of all, in order and without gaps.

Messages of one origin are numbered without a gap, and Redis keeps the order of what it carries.
So a replica that hears another's pulse knows at once what it has missed, and asks that one for it.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from monitor.live.history import MessageBatch, now
from monitor.live.hub import Hub
from monitor.live.presence import Present

PULSE = 1.0  # seconds
_SILENCE = 3.5  # seconds after which a replica is lost
_ANSWER = 1.0  # seconds to wait for an answer
_REPEAT = 5  # pulses after which one tells again who is present
_MEMORY = 600_000  # ms for which the numbers of a replica that has ended are kept
_SKEW = 60_000  # ms that the clocks of replicas may differ then
logger = logging.getLogger(__name__)


class Heartbeat(msgspec.Struct, array_like=True, tag="pulse"):
    """That a replica is there, and how far it has got; `new` to the receiver, or about to stop."""

    origin: str
    seen: dict[str, int]
    known_since: int
    lost_at: int
    present: Present | None = None
    hello: bool = False
    farewell: bool = False


class BackfillRequest(msgspec.Struct, array_like=True, tag="ask"):
    """What one replica has; it wants what another has beyond it."""

    origin: str
    seen: dict[str, int]


class BackfillResponse(msgspec.Struct, array_like=True, tag="past"):
    """The answer: batches, and up to which number there can't be any."""

    origin: str
    floors: dict[str, int]
    known_since: int
    batches: list[MessageBatch]


ReplicaMessage = MessageBatch | Heartbeat | BackfillRequest | BackfillResponse


class Replicas:
    """The other replicas, by what they tell. `send` is given what to tell all or one of them."""

    def __init__(self, hub: Hub, send: Callable[[ReplicaMessage, str | None], None]) -> None:
        self._hub = hub
        self._history = hub.history
        self._send = send
        self._heard: dict[str, int] = {}  # when, of each origin with a number
        self._alive: dict[str, int] = {}  # when, of each replica
        self._held: dict[str, list[MessageBatch]] = {}  # what came behind a gap
        self._ahead: dict[str, dict[str, int]] = {}  # who has seen what is not here
        self._asked: tuple[str, float] | None = None  # who, and until when an answer may come
        self._forgotten: set[str] = set()
        self._greeting = False
        self._greeted: set[str] = set()  # who has answered the hello
        self._whole = True
        self._told = -1  # the version of who is present that was sent last
        self._pulses = 0
        self._ticked = now()

    def hello(self) -> Heartbeat:
        """What to tell all when they can be reached, again."""
        self._greeting, self._greeted = True, set()
        self._whole, self._asked = True, None
        self._alive = dict.fromkeys(self._alive, now())
        return self._pulse(hello=True)

    async def greeted(self, others: int, patience: float) -> bool:
        """Waits for answers of so many and of all known before; whether nothing is missing."""
        deadline = asyncio.get_running_loop().time() + patience
        greeted = self._greeted
        while len(greeted) < others or self._alive.keys() - greeted or self._asked or self._held:
            if asyncio.get_running_loop().time() > deadline:
                self._whole = False
                break
            await asyncio.sleep(0.01)
        self._greeting = False
        return self._whole

    def farewell(self) -> None:
        self._send(self._pulse(farewell=True), None)

    def tick(self) -> None:
        """To be called every PULSE while the others can be reached."""
        self._send(self._pulse(), None)
        time, late = now(), now() - self._ticked > 2000 * PULSE
        self._ticked = time
        if late:  # it was this replica that was silent
            self._alive = dict.fromkeys(self._alive, time)
        for origin, heard in list(self._alive.items()):
            if time - heard > 1000 * _SILENCE:
                self._lose(origin, heard)
        for origin, heard in list(self._heard.items()):
            if origin not in self._alive and time - heard > _MEMORY + _SKEW:
                self._forget(origin, heard + _SKEW)
        if self._asked and self._asked[1] < asyncio.get_running_loop().time():
            self._whole = False
            self._settle(self._asked[0])

    def receive(self, told: ReplicaMessage) -> None:
        if told.origin == self._hub.origin:
            return
        match told:
            case MessageBatch():
                self._take(told)
            case Heartbeat():
                self._hear(told)
            case BackfillRequest():
                self._answer(told)
            case BackfillResponse():
                self._fill(told)

    def _pulse(self, *, hello: bool = False, farewell: bool = False) -> Heartbeat:
        presence, history = self._hub.presence, self._history
        self._pulses += 1
        tells = hello or self._told != presence.version or self._pulses % _REPEAT == 0
        self._told = presence.version
        present = presence.here if tells else None
        return Heartbeat(
            self._hub.origin,
            dict(history.seen),
            history.known_since,
            history.lost_at,
            present,
            hello,
            farewell,
        )

    def _hear(self, pulse: Heartbeat) -> None:
        origin, history = pulse.origin, self._history
        self._alive[origin] = now()
        if pulse.present is not None:
            self._hub.presence.elsewhere[origin] = pulse.present
        if pulse.hello:
            self._told = -1
            self._send(self._pulse(), None)
        if pulse.lost_at > history.lost_at:
            history.lost_at = pulse.lost_at
            self._miss()
        news = {each: seen for each, seen in pulse.seen.items() if each not in self._forgotten}
        if history.lacks(news):
            self._ahead[origin] = news
            self._ask(origin)
        elif self._greeting:
            history.known_since = min(history.known_since, pulse.known_since)
        self._greeted.add(origin)
        if pulse.farewell:
            self._leave(origin)

    def _take(self, batch: MessageBatch) -> None:
        """Delivers a batch in its turn, once."""
        origin = batch.origin
        self._heard[origin] = now()
        seen = self._history.seen.get(origin, 0)
        if batch.last <= seen:
            return
        if batch.first > seen + 1:
            self._held.setdefault(origin, []).append(batch)
            self._ask(origin if origin in self._alive else next(iter(self._alive), origin))
            return
        self._hub.deliver(batch)
        for held in self._held.pop(origin, ()):
            self._take(held)

    def _ask(self, whom: str) -> None:
        """One at a time: what one answers, the others would too."""
        if not self._asked:
            self._asked = whom, asyncio.get_running_loop().time() + _ANSWER
            self._send(BackfillRequest(self._hub.origin, dict(self._history.seen)), whom)

    def _answer(self, ask: BackfillRequest) -> None:
        history = self._history
        batches = [each for each in history.batches if each.last > ask.seen.get(each.origin, 0)]
        past = BackfillResponse(
            self._hub.origin, dict(history.floors), history.known_since, batches
        )
        self._send(past, ask.origin)

    def _fill(self, past: BackfillResponse) -> None:
        history = self._history
        for origin, floor in past.floors.items():
            if floor > history.seen.get(origin, 0):
                self._skip(origin, floor)
        for batch in past.batches:
            self._take(batch)
        if self._greeting:
            history.known_since = min(history.known_since, past.known_since)
        self._settle(past.origin)

    def _settle(self, asked: str) -> None:
        """Goes on without what was not in the answer, or for want of one, and asks the next."""
        for origin, held in list(self._held.items()):
            self._skip(origin, held[0].first - 1)
            for batch in self._held.pop(origin):
                self._take(batch)
        self._asked = None
        self._ahead.pop(asked, None)
        for origin, seen in list(self._ahead.items()):
            if self._history.lacks(seen):
                self._ask(origin)
            else:
                del self._ahead[origin]

    def _skip(self, origin: str, offset: int) -> None:
        """Messages are missing for good."""
        logger.warning("Messages of replica %s up to %d are missing", origin, offset)
        self._history.skip(origin, offset)
        self._heard[origin] = now()
        self._miss()

    def _lose(self, origin: str, heard: int) -> None:
        """It may have had messages that it could not send."""
        logger.warning("Replica %s is silent", origin)
        self._leave(origin)
        if self._history.lost_at < heard:
            self._history.lost_at = now() + 1  # after all cursors so far
            self._miss()

    def _miss(self) -> None:
        self._whole = False
        if not self._hub.stale:
            self._hub.resume(recovered=False)

    def _leave(self, origin: str) -> None:
        self._alive.pop(origin, None)
        self._ahead.pop(origin, None)
        self._hub.presence.elsewhere.pop(origin, None)

    def _forget(self, origin: str, ended: int) -> None:
        self._forgotten.add(origin)
        del self._heard[origin]
        self._history.forget(origin, ended)
