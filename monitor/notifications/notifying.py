"""The component that looks for causes, and sends the messages about them. Nothing waits for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import asyncpg

from monitor.database.errors import schema_errors_as_unavailable
from monitor.database.pool import Database
from monitor.database.resource import Invalid
from monitor.errors import Conflict, Unavailable
from monitor.health import ComponentHealth, NotificationsHealth
from monitor.notifications import class_causes, key_causes, outbox, receivers
from monitor.notifications.health_causes import HealthWatch
from monitor.notifications.operators import Operators, digest
from monitor.notifications.outbox import Delivery
from monitor.notifications.receivers import Test
from monitor.notifications.sending import Message, Problem, Sender
from monitor.notifications.texts import test_message
from monitor.tasks import Job, cancel_and_wait, describe

logger = logging.getLogger(__name__)

_INTERVAL = 5.0  # seconds between looks
_EXPIRE_ROUNDS = 60  # looks between deletions
_KEY_ROUNDS = 4  # looks between looks at credentials
_AT_A_TIME = {False: 4, True: 2}  # deliveries, by whether the receiver fails
_TESTS = 4  # at a time; a class has one

Reports = Callable[[], Awaitable[Mapping[str, ComponentHealth]]]


class Notifying:
    """Three jobs: looking at classes and credentials, by one replica at a time; looking at this
    replica's health; and sending what is due.
    """

    name = "notifications"

    def __init__(
        self, database: Database, operators: Operators, sender: Sender, replica: str
    ) -> None:
        self._database = database
        self._operators = operators
        self._sender = sender
        self._reports: Reports | None = None
        self._health = HealthWatch(operators, self.name, replica)
        self._rounds = 0
        self._problems: dict[str, Problem] = {}  # of operators' receivers, by digest
        self._failing = 0  # receivers of classes
        self._running: dict[asyncio.Task[None], bool] = {}  # deliveries; to one that fails?
        self._testing: set[int] = set()  # classes
        self._looking = Job("Looking for what to notify of", self._look, interval=_INTERVAL)
        self._watching = Job("Watching the health", self._watch, interval=_INTERVAL)
        self._sending = Job("Sending notifications", self._send, interval=_INTERVAL)

    def watch(self, reports: Reports) -> None:
        """Sets where this replica's health is asked for."""
        self._reports = reports

    async def start(self) -> None:
        self._looking.start()
        self._sending.start()
        if self._health.is_asked:
            self._watching.start()

    async def stop(self, deadline: float) -> None:
        """What is being sent is cut off; another replica, or the next start, sends it again."""
        for job in (self._watching, self._looking, self._sending):
            await job.stop()
        await cancel_and_wait(*self._running)

    async def health(self) -> NotificationsHealth:
        """`degraded` when a job fails, or a receiver of operators has not taken the latest."""
        problems = [f"{name}: {problem}" for name, problem in sorted(self._problems.items())]
        problems += [
            f"{job.name}: {job.failure}" for job in (self._looking, self._sending) if job.failure
        ]
        return NotificationsHealth(
            "degraded" if problems else "ok", "; ".join(problems) or None, failing=self._failing
        )

    async def check(self, url: str) -> None:
        """Raises Invalid if nothing could be sent to this URL."""
        receivers.checked_service(url)
        if await self._sender.check(url):
            raise Invalid("url", "No service takes this URL: compare it with the how-to's examples")

    async def send_test(self, test: Test) -> Problem | None:
        """Sends a test to a class's receiver. Raises Conflict while too many are under way."""
        if test.class_id in self._testing or len(self._testing) >= _TESTS:
            raise Conflict("Another test is under way: try again in a minute")
        link = self._link(test.class_id)
        message = test_message(test.language, test.class_name, link)
        self._testing.add(test.class_id)
        try:
            return await self._sender.send(test.url, message, by_operator=False)
        finally:
            self._testing.discard(test.class_id)

    async def send_operators_test(self) -> dict[str, Problem | None]:
        """Sends a test to each of the operators' receivers; what went wrong, by their digest."""
        message = test_message(self._operators.language, "", self._operators.address)
        return await self._send_to_operators(message)

    def _link(self, class_id: int) -> str:
        address = self._operators.address
        return f"{address}/#/class/{class_id}" if address else ""

    async def _look(self) -> None:
        """One replica's turn. A class that can't be looked at keeps no other from it."""
        operators = self._operators
        with schema_errors_as_unavailable():
            async with self._database.connection() as connection:
                if not await outbox.take_round(connection, timedelta(seconds=_INTERVAL)):
                    return
                if self._rounds % _EXPIRE_ROUNDS == 0:
                    await outbox.expire(connection)
                self._rounds += 1
                classes = await class_causes.active_classes(connection, is_open=operators.is_open)
            if self._rounds % _KEY_ROUNDS == 1:
                await key_causes.look(self._database, operators)
            failure: asyncpg.PostgresError | None = None
            for each in classes:
                try:
                    await class_causes.look(
                        self._database,
                        each,
                        is_open=operators.is_open,
                        address=operators.address,
                    )
                except asyncpg.PostgresError as error:
                    failure = error
        self._sending.wake()
        if failure:
            raise failure

    async def _watch(self) -> None:
        if self._reports is None:
            return
        lasting = self._health.lasting(await self._reports())
        try:
            with schema_errors_as_unavailable():
                await self._health.note(self._database, lasting)
                await self._health.note_recovered(self._database)
        except Unavailable:
            if message := self._health.message_without_database(lasting):
                await self._send_to_operators(message)
            raise

    async def _send(self) -> None:
        """Begins to send what is due, each in a task of its own; the next begins as one ends.

        Receivers that fail have a few of the places, so that the others don't wait for them.
        """
        with schema_errors_as_unavailable():
            async with self._database.connection() as connection:
                for failing, most in _AT_A_TIME.items():
                    free = most - sum(each is failing for each in self._running.values())
                    for delivery in await outbox.claim(
                        connection, self._operators, free, failing=failing
                    ):
                        task = asyncio.create_task(self._deliver(delivery), name="Notification")
                        self._running[task] = failing
                        task.add_done_callback(self._end)
                self._failing = await connection.fetchval(_COUNT_FAILING)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        if not task.cancelled() and (error := task.exception()):
            logger.warning("How a notification went could not be noted: %s", describe(error))
        self._sending.wake()

    async def _deliver(self, delivery: Delivery) -> None:
        message = Message(delivery.title, delivery.body)
        if name := delivery.operator_digest:
            url = self._operators.by_digest[name]
            problem = await self._sender.send(url, message, by_operator=True)
            self._note_problem(name, problem)
        else:
            problem = await self._sender.send(delivery.url or "", message, by_operator=False)
        async with self._database.transaction() as connection:
            if delivery.receiver_id is not None:
                await receivers.note_outcome(connection, delivery.receiver_id, problem)
            await outbox.settle(connection, delivery, problem)

    async def _send_to_operators(self, message: Message) -> dict[str, Problem | None]:
        urls = list(self._operators.urls)
        outcomes = await asyncio.gather(
            *(self._sender.send(url, message, by_operator=True) for url in urls)
        )
        by_name = dict(zip(map(digest, urls), outcomes, strict=True))
        for name, problem in by_name.items():
            self._note_problem(name, problem)
        return by_name

    def _note_problem(self, name: str, problem: Problem | None) -> None:
        if problem is None:
            self._problems.pop(name, None)
        else:
            logger.warning("A notification could not be delivered to %s: %s", name, problem)
            self._problems[name] = problem


_COUNT_FAILING = "SELECT count(*) FROM notification_receivers WHERE problem IS NOT NULL"
