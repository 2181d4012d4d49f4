"""The five calls of a plain resource, declared at once."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

import msgspec

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing, Page
from monitor.database.pool import Connection
from monitor.database.resource import Resource, values
from monitor.errors import Conflict, MonitorError, NotFound
from monitor.http.operations import Api, Declaration

Change = Callable[[Connection, int, Any], Awaitable[Any]]
Raises = tuple[type[MonitorError], ...]


class Insert(Protocol):
    """Adds a row for the caller, from a body."""

    async def __call__(self, connection: Connection, body: Any, caller: Principal) -> Any: ...


class Docs(msgspec.Struct, frozen=True, kw_only=True):
    """The descriptions of the calls that differ between resources."""

    create: str
    delete: str


def resource(
    api: Api,
    rows: Resource[Any],
    *,
    plural: str,
    create: type[msgspec.Struct],
    update: type[msgspec.Struct],
    query: type[Page],
    docs: Docs,
    insert: Insert | None = None,
    change: Change | None = None,
    create_raises: Raises = (),
    update_raises: Raises = (),
) -> None:
    """Declares how rows are created, listed, read, changed and deleted below `/{plural}`.

    `create` and `update` are the types of the bodies, `query` that of a list's query. Bodies are
    stored as they are sent unless `insert` or `change` do more; these raise `create_raises` and
    `update_raises`, and `change` NotFound.
    """
    noun = rows.noun
    article = "an" if noun[0] in "aeiou" else "a"
    collection, item = f"/{plural}", f"/{plural}/{{{noun}_id}}"
    key = {f"{noun}_id": Id}
    connection, caller = {"connection": Connection}, {"caller": Principal}
    insert, change = insert or partial(_insert, rows), change or partial(_change, rows)

    async def create_row(connection: Connection, body: Any, caller: Principal) -> Any:
        return await insert(connection, body, caller)

    async def list_rows(connection: Connection, query: Page, caller: Principal) -> Listing[Any]:
        return await rows.find(connection, query, visible(rows.table, caller))

    async def get_row(connection: Connection, **ids: int) -> Any:
        return await rows.get(connection, *ids.values())

    async def update_row(connection: Connection, body: Any, **ids: int) -> Any:
        (row_id,) = ids.values()
        return await change(connection, row_id, body)

    async def delete_row(connection: Connection, **ids: int) -> Any:
        return await rows.delete(connection, *ids.values())

    for declaration in (
        Declaration(
            method="POST",
            path=collection,
            name=f"create_{noun}",
            summary=docs.create,
            handler=create_row,
            returns=rows.kind,
            body=create,
            context=connection | caller,
            status=201,
            raises=create_raises,
        ),
        Declaration(
            method="GET",
            path=collection,
            name=f"list_{plural}",
            summary=f"{plural.capitalize()}, in the order in which they were made.",
            handler=list_rows,
            returns=Listing[rows.kind],  # type: ignore[name-defined]
            query=query,
            context=connection | caller,
        ),
        Declaration(
            method="GET",
            path=item,
            name=f"get_{noun}",
            summary=f"{article.capitalize()} {noun}.",
            handler=get_row,
            returns=rows.kind,
            parameters=key,
            context=connection,
            raises=(NotFound,),
        ),
        Declaration(
            method="PUT",
            path=item,
            name=f"update_{noun}",
            summary=f"Changes {article} {noun}: what is left out stays.",
            handler=update_row,
            returns=rows.kind,
            parameters=key,
            body=update,
            context=connection,
            raises=(NotFound, *update_raises),
        ),
        Declaration(
            method="DELETE",
            path=item,
            name=f"delete_{noun}",
            summary=docs.delete,
            handler=delete_row,
            returns=rows.kind,
            parameters=key,
            context=connection,
            raises=(NotFound, Conflict),
        ),
    ):
        api.declare(declaration)


async def _insert(
    rows: Resource[Any], connection: Connection, body: msgspec.Struct, caller: Principal
) -> Any:
    return await rows.insert(connection, values(body))


async def _change(
    rows: Resource[Any], connection: Connection, row_id: int, body: msgspec.Struct
) -> Any:
    return await rows.update(connection, row_id, values(body))
