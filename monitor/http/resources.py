"""The five calls of a plain resource, declared at once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing, Page
from monitor.database.pool import Connection
from monitor.database.resource import Resource, values
from monitor.errors import Conflict, MonitorError, NotFound
from monitor.http.declarations import Declaration
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit

Find = Callable[[Connection, Any, Principal], Awaitable[Listing[Any]]]
Get = Callable[[Connection, int, Principal], Awaitable[Any]]
Change = Callable[[Connection, int, Any], Awaitable[Any]]
Remove = Callable[[Connection, int], Awaitable[Any]]
Raises = tuple[type[MonitorError], ...]

_CONNECTION = {"connection": Connection}
_CALLER = {"caller": Principal}
_AFTER_COMMIT = {"after_commit": AfterCommit}


class Insert(Protocol):
    """Adds a row for the caller, from a body."""

    async def __call__(self, connection: Connection, body: Any, caller: Principal) -> Any: ...


class Docs(msgspec.Struct, frozen=True, kw_only=True):
    """The descriptions of the calls that differ between resources."""

    create: str
    delete: str


@dataclass(frozen=True, kw_only=True)
class ResourceCalls:
    """How rows are created, listed, read, changed and deleted below `/{plural}`.

    `create` and `update` are the types of the bodies, `query` that of a list's query. Bodies are
    stored as they are sent unless `insert` or `change` do more; these raise `create_raises` and
    `update_raises`, and `change` NotFound. `find` and `get` are for rows that callers see
    differently, `remove` for those that take others along. `after_change` is called after the
    commit of a PUT or a DELETE.
    """

    rows: Resource[Any]
    plural: str
    create: type[msgspec.Struct]
    update: type[msgspec.Struct]
    query: type[Page]
    docs: Docs
    find: Find | None = None
    get: Get | None = None
    insert: Insert | None = None
    change: Change | None = None
    remove: Remove | None = None
    after_change: Callable[[], Awaitable[None]] | None = None
    create_raises: Raises = ()
    update_raises: Raises = ()

    def declare(self, api: Api) -> None:
        """Declares the five calls."""
        api.declare(self._create())
        api.declare(self._list())
        api.declare(self._get())
        api.declare(self._update())
        api.declare(self._delete())

    @property
    def _item(self) -> str:
        return f"/{self.plural}/{{{self.rows.noun}_id}}"

    @property
    def _key(self) -> dict[str, Any]:
        return {f"{self.rows.noun}_id": Id}

    @property
    def _one(self) -> str:
        noun = self.rows.noun
        return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"

    def _create(self) -> Declaration:
        insert = self.insert or partial(_insert, self.rows)

        async def create_row(connection: Connection, body: Any, caller: Principal) -> Any:
            return await insert(connection, body, caller)

        return Declaration(
            method="POST",
            path=f"/{self.plural}",
            name=f"create_{self.rows.noun}",
            summary=self.docs.create,
            handler=create_row,
            returns=self.rows.kind,
            body=self.create,
            context=_CONNECTION | _CALLER,
            status=201,
            raises=self.create_raises,
        )

    def _list(self) -> Declaration:
        rows, find = self.rows, self.find or partial(_find, self.rows)

        async def list_rows(connection: Connection, query: Page, caller: Principal) -> Listing[Any]:
            return await find(connection, query, caller)

        return Declaration(
            method="GET",
            path=f"/{self.plural}",
            name=f"list_{self.plural}",
            summary=f"{self.plural.capitalize()}, in the order in which they were made.",
            handler=list_rows,
            returns=Listing[rows.kind],  # type: ignore[name-defined]
            query=self.query,
            context=_CONNECTION | _CALLER,
        )

    def _get(self) -> Declaration:
        get = self.get or partial(_get, self.rows)

        async def get_row(connection: Connection, caller: Principal, **ids: int) -> Any:
            (row_id,) = ids.values()
            return await get(connection, row_id, caller)

        return Declaration(
            method="GET",
            path=self._item,
            name=f"get_{self.rows.noun}",
            summary=f"{self._one.capitalize()}.",
            handler=get_row,
            returns=self.rows.kind,
            parameters=self._key,
            context=_CONNECTION | _CALLER,
            raises=(NotFound,),
        )

    def _update(self) -> Declaration:
        change = self.change or partial(_change, self.rows)

        async def update_row(
            connection: Connection, after_commit: AfterCommit, body: Any, **ids: int
        ) -> Any:
            (row_id,) = ids.values()
            if self.after_change:
                after_commit(self.after_change)
            return await change(connection, row_id, body)

        return Declaration(
            method="PUT",
            path=self._item,
            name=f"update_{self.rows.noun}",
            summary=f"Changes {self._one}: what is left out stays.",
            handler=update_row,
            returns=self.rows.kind,
            parameters=self._key,
            body=self.update,
            context=_CONNECTION | _AFTER_COMMIT,
            raises=(NotFound, *self.update_raises),
        )

    def _delete(self) -> Declaration:
        remove = self.remove or self.rows.delete

        async def delete_row(connection: Connection, after_commit: AfterCommit, **ids: int) -> Any:
            (row_id,) = ids.values()
            if self.after_change:
                after_commit(self.after_change)
            return await remove(connection, row_id)

        return Declaration(
            method="DELETE",
            path=self._item,
            name=f"delete_{self.rows.noun}",
            summary=self.docs.delete,
            handler=delete_row,
            returns=self.rows.kind,
            parameters=self._key,
            context=_CONNECTION | _AFTER_COMMIT,
            raises=(NotFound, Conflict),
        )


async def _find(
    rows: Resource[Any], connection: Connection, query: Page, caller: Principal
) -> Listing[Any]:
    return await rows.find(connection, query, visible(rows.table, caller))


async def _get(rows: Resource[Any], connection: Connection, row_id: int, caller: Principal) -> Any:
    return await rows.get(connection, row_id)


async def _insert(
    rows: Resource[Any], connection: Connection, body: msgspec.Struct, caller: Principal
) -> Any:
    return await rows.insert(connection, values(body))


async def _change(
    rows: Resource[Any], connection: Connection, row_id: int, body: msgspec.Struct
) -> Any:
    return await rows.update(connection, row_id, values(body))
