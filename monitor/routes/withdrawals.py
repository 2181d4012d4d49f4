"""`/withdrawals`, and what was sent with a key: listed, withdrawn, replayed."""

from collections.abc import Callable

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Connection
from monitor.database.resource import Invalid
from monitor.errors import Conflict, NotFound
from monitor.events.event import NO_CLASS
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit
from monitor.lms import key_events, withdrawals
from monitor.lms.key_events import KeyEventPage, KeyEventsQuery, KeyStudent, KeyStudentsQuery
from monitor.lms.withdrawals import WITHDRAWALS, Withdrawal, WithdrawalFilter, WithdrawalRequest


def declare(api: Api, wake: Callable[[], None]) -> None:
    """`wake` is called when there is work for the job that withdraws and replays."""
    _declare_keys(api, wake)
    _declare_tokens(api, wake)

    @api.operation("GET", "/withdrawals")
    async def list_withdrawals(
        connection: Connection, query: WithdrawalFilter, caller: Principal
    ) -> Listing[Withdrawal]:
        """Withdrawals, in the order of their requests."""
        return await WITHDRAWALS.find(connection, query, visible(WITHDRAWALS.table, caller))

    @api.operation("GET", "/withdrawals/{withdrawal_id}", raises=(NotFound,))
    async def get_withdrawal(connection: Connection, withdrawal_id: Id) -> Withdrawal:
        """A withdrawal's receipt: its `state` is `withdrawn` when it has ended."""
        return await WITHDRAWALS.get(connection, withdrawal_id)

    @api.operation(
        "POST", "/withdrawals/{withdrawal_id}/replay", status=202, raises=(NotFound, Conflict)
    )
    async def replay_withdrawal(
        connection: Connection, after_commit: AfterCommit, withdrawal_id: Id
    ) -> Withdrawal:
        """Restores all of it that has not been discarded, in the background.

        Rows, counters, states and points are then as before.
        """
        after_commit(wake)
        return await withdrawals.replay(connection, withdrawal_id)


def _declare_keys(api: Api, wake: Callable[[], None]) -> None:
    @api.operation("GET", "/ingest-keys/{key_id}/events", raises=(NotFound,))
    async def list_key_events(
        connection: Connection, key_id: Id, query: KeyEventsQuery, caller: Principal
    ) -> KeyEventPage:
        """What was sent with a key, by student and time.

        Instructors see what is of the key's class and of none.
        """
        class_id = await withdrawals.class_of_key(connection, key_id)
        only = None if caller.role == "admin" else [class_id or NO_CLASS, NO_CLASS]
        return await key_events.events_of(connection, f"key {key_id}", query, only)

    @api.operation("GET", "/ingest-keys/{key_id}/students")
    async def list_key_students(
        connection: Connection, key_id: Id, query: KeyStudentsQuery
    ) -> Listing[KeyStudent]:
        """The students whose events were sent with a key, with the hours, by user_id."""
        return await key_events.students_of(connection, f"key {key_id}", query)

    @api.operation("POST", "/ingest-keys/{key_id}/withdraw", status=202, raises=(NotFound, Invalid))
    async def withdraw_key_events(
        connection: Connection,
        after_commit: AfterCommit,
        key_id: Id,
        body: WithdrawalRequest,
        caller: Principal,
    ) -> Withdrawal:
        """Withdraws what was sent with a key in a span of time, by receipt, in the background.

        It counts for nothing then, and a retry of it is a duplicate. To stop a key, revoke it
        first: what a spool still has, or is being stored, is not withdrawn. By an instructor: what
        is of the key's class and of none; what was assigned to another class stays.
        """
        after_commit(wake)
        only_class = caller.role != "admin"
        return await withdrawals.of_key(
            connection, key_id, body, only_class=only_class, by=caller.name
        )


def _declare_tokens(api: Api, wake: Callable[[], None]) -> None:
    @api.operation("GET", "/student-tokens/{token_id}/events", raises=(NotFound,))
    async def list_token_events(
        connection: Connection, token_id: Id, query: KeyEventsQuery, caller: Principal
    ) -> KeyEventPage:
        """What was sent with a student's own token, by time.

        Instructors see what is of the class that it was issued for.
        """
        class_id = await withdrawals.class_of_token(connection, token_id)
        only = None if caller.role == "admin" else [class_id or NO_CLASS]
        return await key_events.events_of(connection, f"token {token_id}", query, only)

    @api.operation(
        "POST", "/student-tokens/{token_id}/withdraw", status=202, raises=(NotFound, Invalid)
    )
    async def withdraw_token_events(
        connection: Connection,
        after_commit: AfterCommit,
        token_id: Id,
        body: WithdrawalRequest,
        caller: Principal,
    ) -> Withdrawal:
        """Withdraws what was sent with a student's own token, as for a key.

        By an instructor: what is of the class that it was issued for.
        """
        after_commit(wake)
        only_class = caller.role != "admin"
        return await withdrawals.of_token(
            connection, token_id, body, only_class=only_class, by=caller.name
        )
