"""Retries a dead letter through the stage that rejected it."""

from monitor.database.dead_letters import DeadLetter, KeptLetter
from monitor.database.pool import Database
from monitor.errors import Conflict, HandlersError, InvalidBody, TooLarge, Unavailable
from monitor.events.decoding import CELL_MONITOR, EVENT_DIALECTS, Dialect, decode
from monitor.events.event import Payload, Source
from monitor.lms import withdrawals
from monitor.pipeline.handler_runner import HandlerRunner
from monitor.pipeline.queue import EventQueue
from monitor.tasks import describe
from monitor.timeseries.influx import InfluxSink
from monitor.timeseries.influx_client import WRITE_ERRORS, InfluxError

REMOVED_BY_REPLAY = ("handler", "withdrawn")  # sources of letters that the replay itself removes


class ReplayFailed(Conflict):
    """The retry failed as well; the dead letter stays."""


class Replay:
    """Retries dead letters of the sources `ingest`, `handler`, `influxdb` and `withdrawn`."""

    def __init__(
        self,
        queue: EventQueue,
        runner: HandlerRunner,
        influx: InfluxSink | None,
        database: Database,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._influx = influx
        self._database = database

    async def run(self, kept: KeptLetter) -> str:
        """The outcome: `stored`, `duplicate`, `spooled`, `handled`, `written` or `restored`.

        The transactions of a handler and of a restoration remove their letters; the caller removes
        the others. Raises ReplayFailed, NotFound if such a letter was removed meanwhile, and
        Unavailable if it can't be retried now.
        """
        letter, sent_by = kept
        if letter.source == "handler":
            return await self._handle(letter, sent_by)
        if letter.source == "influxdb":
            return await self._write(letter)
        if letter.source == "withdrawn":
            return await self._restore(letter)
        return await self._ingest(letter, sent_by)

    async def _restore(self, letter: DeadLetter) -> str:
        async with self._database.transaction() as connection:
            await withdrawals.replay_letter(connection, letter.id, self._influx is not None)
        return "restored"

    async def _ingest(self, letter: DeadLetter, sent_by: Source) -> str:
        payload = _decode(letter, sent_by, (*EVENT_DIALECTS, CELL_MONITOR))
        receipt = await self._queue.put(payload, len(letter.raw.encode()))
        if receipt.rejected:
            raise ReplayFailed(receipt.rejected[0].reason)
        if receipt.spooled:
            return "spooled"
        return "stored" if receipt.stored else "duplicate"

    async def _handle(self, letter: DeadLetter, sent_by: Source) -> str:
        (event,) = _decode(letter, sent_by).events
        event.class_id = letter.class_id or 0
        try:
            await self._runner.replay(letter.id, letter.path, event)
        except HandlersError as error:
            raise ReplayFailed(str(error)) from error
        return "handled"

    async def _write(self, letter: DeadLetter) -> str:
        if self._influx is None:
            raise ReplayFailed("There is no InfluxDB: set INFLUXDB_URL")
        try:
            await self._influx.send(letter.raw.encode())
        except WRITE_ERRORS as error:
            if isinstance(error, InfluxError) and error.is_points_fault:
                raise ReplayFailed(str(error)) from error
            raise Unavailable(f"InfluxDB: {describe(error)}") from error
        return "written"


def _decode(
    letter: DeadLetter, sent_by: Source, dialects: tuple[Dialect, ...] = EVENT_DIALECTS
) -> Payload:
    """Its item, as one event. Raises ReplayFailed if it is none."""
    try:
        payload = decode(f"[{letter.raw}]".encode(), letter.received_at, 1, dialects, sent_by)
    except (InvalidBody, TooLarge) as error:
        raise ReplayFailed(str(error)) from error
    if payload.rejected:
        raise ReplayFailed(payload.rejected[0].reason)
    return payload
