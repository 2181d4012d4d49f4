"""Reads of one call, each authorised in the snapshot that it reads."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from monitor.auth.principal import Principal
from monitor.auth.visibility import classes_of
from monitor.database.pool import Connection
from monitor.database.reads import Reads
from monitor.http.transactions import Transactions

T = TypeVar("T")

Classes = list[int] | None  # what was done in these is visible; None: everything


class Snapshots:
    """Opens the snapshots of one call that only reads; `Reads.read` says what holds in them.

    Its methods raise Forbidden, and Unavailable when PostgreSQL can't be read now.
    """

    def __init__(self, reads: Reads, transactions: Transactions, caller: Principal) -> None:
        self._reads = reads
        self._transactions = transactions
        self._caller = caller
        self._is_audited = False

    async def read(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        counted: bool = False,
        current: bool = False,
    ) -> T:
        """What `work` returns. It may be called twice and must only read.

        With `counted` the counters include everything stored before. With `current` the primary is
        read even if there is a standby.
        """
        await self._prepare(counted=counted)
        check = self._transactions.verify if self._transactions.names_rows else None
        return await self._reads.read(work, check, current=current)

    async def read_by_class(
        self,
        work: Callable[[Connection, Classes], Awaitable[T]],
        *,
        student_id: int | None = None,
    ) -> T:
        """The same, where an instructor may see only what was done in their classes.

        `work` also gets these classes; None for others, who may see everything they ask for, and
        where the student is the instructor.
        """
        if self._caller.role != "instructor":
            return await self.read(lambda connection: work(connection, None))
        classes: Classes = None

        async def check(connection: Connection) -> None:
            nonlocal classes
            await self._transactions.verify(connection)
            if not await connection.fetchval(_SELECT_OWN, student_id, self._caller.name):
                classes = await classes_of(connection, self._caller)

        await self._prepare()
        return await self._reads.read(lambda connection: work(connection, classes), check)

    async def _prepare(self, *, counted: bool = False) -> None:
        """Enters an export in the audit log before anything of it is read."""
        if self._transactions.is_export and not self._is_audited:
            await self._transactions.authorise()
            self._is_audited = True
        if counted:
            await self._reads.ensure_counted()


_SELECT_OWN = "SELECT true FROM students WHERE id = $1 AND user_id = $2"
