"""Refused calls in the audit log: one entry a minute and caller, and how many it stands for."""

import time
from collections import OrderedDict

import msgspec
from starlette.types import Scope

from monitor.auth import audit
from monitor.auth.call import Call
from monitor.auth.principal import NOBODY, Principal
from monitor.database.errors import schema_errors_as_unavailable
from monitor.database.pool import Database
from monitor.errors import Unavailable
from monitor.health import ComponentHealth
from monitor.tasks import Job

_INTERVAL = 1.0  # seconds
_WINDOW = 60.0  # seconds that one entry stands for
_MAX_CALLERS = 1_000  # in a window; those beyond share one entry
_MAX_PATH = 500  # characters
_OTHERS = "others"


class Refusals(msgspec.Struct):
    """What a caller was refused since `began` (by `time.monotonic`): the first call, and a count.

    `entry` is the id of its row; `written` is the count that the row has.
    """

    principal: Principal
    operation: str
    path: str
    reason: str
    began: float
    left_out: int = 0
    entry: int | None = None
    written: int = 0


class RefusalLog:
    """Collects refusals in memory, and writes them to the audit log every second."""

    name = "refusal_log"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._callers: OrderedDict[str, Refusals] = OrderedDict()  # the oldest first
        self._job = Job("Writing refusals to the audit log", self._write, interval=_INTERVAL)

    async def start(self) -> None:
        self._job.start()

    async def stop(self, deadline: float) -> None:
        """Writes the rest, unless PostgreSQL is away."""
        await self._job.stop()
        try:
            await self._write()
        except Unavailable:
            return  # nobody may wait for them at the end

    async def health(self) -> ComponentHealth:
        return self._job.health()

    def note(self, scope: Scope, reason: str) -> None:
        """Notes that a call was refused with 403, or that a socket or its command was."""
        call: Call | None = scope.get("call")
        payer = call.payer if call else _OTHERS
        if payer not in self._callers and len(self._callers) >= _MAX_CALLERS:
            payer = _OTHERS
        if refusals := self._callers.get(payer):
            refusals.left_out += 1
            return
        route = scope.get("route")
        template = getattr(route, "path", scope["path"])
        self._callers[payer] = Refusals(
            principal=call.principal if call else NOBODY,
            operation=f"refused: {scope.get('method', 'WS')} {template}",
            path=scope["path"][:_MAX_PATH],
            reason=reason,
            began=time.monotonic(),
        )

    async def _write(self) -> None:
        changed = [each for each in self._callers.values() if _is_changed(each)]
        if changed:
            with schema_errors_as_unavailable():
                async with self._database.transaction() as connection:
                    written = [(each, each.left_out) for each in changed]
                    entries = [
                        await audit.record_refusals(
                            connection,
                            each.principal,
                            entry=each.entry,
                            operation=each.operation,
                            path=each.path,
                            detail={"reason": each.reason, "left_out": left_out},
                        )
                        for each, left_out in written
                    ]
            for (each, left_out), entry in zip(written, entries, strict=True):
                each.entry, each.written = entry, left_out
        ended = time.monotonic() - _WINDOW
        for payer, each in list(self._callers.items()):
            if each.began <= ended and not _is_changed(each):
                del self._callers[payer]


def _is_changed(refusals: Refusals) -> bool:
    return refusals.entry is None or refusals.written != refusals.left_out
