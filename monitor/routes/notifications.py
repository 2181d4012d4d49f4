"""Notifications: a class's receivers and rules, and tests of receivers."""

import msgspec

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Connection
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.http.transactions import Transactions
from monitor.notifications import receivers
from monitor.notifications.notifying import Notifying
from monitor.notifications.receivers import (
    RECEIVERS,
    Receiver,
    ReceiverCreate,
    ReceiverFilter,
    ReceiverUpdate,
    Rules,
)


class Tested(msgspec.Struct):
    """How a test went: `problem` is null if the receiver has accepted it."""

    receiver: str
    problem: str | None


def declare(api: Api, notifying: Notifying) -> None:
    """Declares the operations."""
    _declare_rules(api)
    _declare_receivers(api, notifying)
    _declare_tests(api, notifying)


def _declare_rules(api: Api) -> None:
    path = "/classes/{class_id}/notification-rules"

    @api.operation("GET", path, raises=(NotFound,))
    async def get_notification_rules(connection: Connection, class_id: Id) -> Rules:
        """When a class's notifications are sent, and in which language."""
        return await receivers.get_rules(connection, class_id)

    @api.operation("PUT", path, raises=(NotFound,))
    async def set_notification_rules(connection: Connection, class_id: Id, body: Rules) -> Rules:
        """Sets all of them; what is left out is as in the beginning."""
        return await receivers.set_rules(connection, class_id, body)


def _declare_receivers(api: Api, notifying: Notifying) -> None:
    path = "/notification-receivers"

    @api.operation("POST", path, status=201, raises=(Conflict,))
    async def create_notification_receiver(
        transactions: Transactions, body: ReceiverCreate, caller: Principal
    ) -> Receiver:
        """Adds a receiver of a class's notifications. Its URL is not shown again."""
        await notifying.check(body.url)
        async with transactions.begin() as connection:
            return await receivers.create(connection, body, caller.name)

    @api.operation("GET", path)
    async def list_notification_receivers(
        connection: Connection, query: ReceiverFilter, caller: Principal
    ) -> Listing[Receiver]:
        """Receivers without their URLs, and how their latest message went."""
        return await RECEIVERS.find(connection, query, visible(RECEIVERS.table, caller))

    @api.operation("PUT", f"{path}/{{receiver_id}}", raises=(NotFound,))
    async def update_notification_receiver(
        transactions: Transactions, receiver_id: Id, body: ReceiverUpdate
    ) -> Receiver:
        """Changes a receiver."""
        if body.url is not msgspec.UNSET:
            await notifying.check(body.url)
        async with transactions.begin() as connection:
            return await receivers.update(connection, receiver_id, body)

    @api.operation("DELETE", f"{path}/{{receiver_id}}", raises=(NotFound,))
    async def delete_notification_receiver(connection: Connection, receiver_id: Id) -> Receiver:
        """Deletes a receiver, with what is still to be sent to it."""
        return await RECEIVERS.delete(connection, receiver_id)


def _declare_tests(api: Api, notifying: Notifying) -> None:
    path = "/notification-receivers/{receiver_id}/test"

    @api.operation("POST", path, raises=(NotFound, Conflict), in_turns=False)
    async def test_notification_receiver(transactions: Transactions, receiver_id: Id) -> Tested:
        """Sends a test, and answers how it went, after 20 s at the latest."""
        async with transactions.begin() as connection:
            test = await receivers.begin_test(connection, receiver_id)
        problem = await notifying.send_test(test)
        async with transactions.begin(audited=False) as connection:
            await receivers.note_outcome(connection, receiver_id, problem)
        return Tested(str(receiver_id), problem)

    @api.operation("POST", "/notifications/test", in_turns=False)
    async def test_operators_receivers(transactions: Transactions) -> list[Tested]:
        """Sends a test to each of the operators' receivers (`NOTIFY_URLS`)."""
        await transactions.enter()
        outcomes = await notifying.send_operators_test()
        return [Tested(name, problem) for name, problem in outcomes.items()]
