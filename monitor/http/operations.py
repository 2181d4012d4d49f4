"""An operation is declared once: its route and its description in OpenAPI are made from it."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.auth.call import Call
from monitor.auth.gate import Guard
from monitor.auth.permissions import ROUTES, Permission
from monitor.auth.principal import Principal
from monitor.database.paging import Listing
from monitor.database.pool import Connection, Database
from monitor.database.reads import Reads
from monitor.errors import MonitorError
from monitor.http.answers import TOTAL, answer, errors_of
from monitor.http.arguments import Arguments
from monitor.http.body import JSON, BodyReader
from monitor.http.cors import Calls
from monitor.http.declarations import Declaration, Endpoint, Operation
from monitor.http.ingest import IngestRoute
from monitor.http.public_url import Address, PublicUrl, public_url
from monitor.http.responses import json_response
from monitor.http.snapshots import Snapshots
from monitor.http.transactions import AfterCommit, Transactions
from monitor.right_of_way import RightOfWay
from monitor.shares import Turns
from monitor.workers.pool import Workers

OperationHandler = TypeVar("OperationHandler", bound=Callable[..., Awaitable[Any]])

# Calls at the same time: of all, and of one caller, whose others wait. A page makes a few at once.
_AT_ONCE, _OF_CALLER = 64, 4
_WAITING_OF_CALLER = 100  # or being answered

_CONTEXT = (  # not from the request
    Connection,
    Transactions,
    Snapshots,
    AfterCommit,
    Call,
    Principal,
    PublicUrl,
)


class Api:
    """Collects the operations below a prefix, whose bodies `bodies` reads.

    `workers` decode the large ones that have fields to be kept as they were sent.

    Calls are in turns by caller (`turns`), so that one who makes many delays their own; those of
    staff have the `right_of_way`.

    `address` is the server's as its users have it.
    """

    def __init__(
        self,
        prefix: str,
        bodies: BodyReader,
        workers: Workers,
        database: Database,
        reads: Reads,
        *,
        right_of_way: RightOfWay,
        address: Address = Address(),  # noqa: B008 - immutable
    ) -> None:
        self.prefix = prefix
        self.operations: list[Operation] = []
        self._bodies = bodies
        self._workers = workers
        self._database = database
        self._reads = reads
        self._address = address
        self._right_of_way = right_of_way
        self.turns = Turns(
            "calls", at_once=_AT_ONCE, each=_WAITING_OF_CALLER, each_at_once=_OF_CALLER
        )

    def operation(
        self,
        method: str,
        path: str,
        *,
        status: int = 200,
        raises: tuple[type[MonitorError], ...] = (),
        body_media: str = JSON,
        media: Mapping[str, Any] | None = None,
        also: Mapping[int, Any] | None = None,
        in_turns: bool = True,
    ) -> Callable[[OperationHandler], OperationHandler]:
        """Declares the decorated function as an operation; its docstring is the description.

        Its parameters are those of the path by their names, `query` (a struct whose fields are the
        query's parameters), `body`, and, by their types:

        - Connection: of the call's transaction, which commits when the handler returns
        - Transactions: in place of Connection, to open the transactions itself
        - Snapshots: in place of Connection, to read, from a standby where there is one
        - AfterCommit: collects actions that must wait for the commit, such as publishing
        - Call: the call behind the gate, with who pays for it
        - Principal: the caller
        - PublicUrl: the server's address, for links

        What it returns is the answer; a Listing is answered as an array, with the total in a
        header. The other arguments are those of Declaration.
        """

        def declare(handler: OperationHandler) -> OperationHandler:
            signature = inspect.signature(handler)
            types = {name: each.annotation for name, each in signature.parameters.items()}
            context = {name: kind for name, kind in types.items() if kind in _CONTEXT}
            query, body = types.pop("query", None), types.pop("body", None)
            self.declare(
                Declaration(
                    method=method,
                    path=path,
                    name=handler.__name__,
                    summary=inspect.getdoc(handler) or "",
                    handler=handler,
                    returns=signature.return_annotation,
                    parameters={name: types[name] for name in types if name not in context},
                    query=query,
                    body=body,
                    context=context,
                    status=status,
                    raises=raises,
                    body_media=body_media,
                    media=media or {},
                    also=also or {},
                    in_turns=in_turns,
                )
            )
            return handler

        return declare

    def declare(self, declared: Declaration) -> None:
        """Adds an operation."""
        parameters, query, body = declared.parameters, declared.query, declared.body
        answers = {declared.status: answer(declared.returns, declared.media)}
        answers |= {status: answer(kind, {}) for status, kind in declared.also.items()}
        answers |= errors_of(
            declared.raises, parameters=bool(parameters or query), body=body is not None
        )
        self.operations.append(
            Operation(
                method=declared.method,
                path=self.prefix + declared.path,
                name=declared.name,
                summary=declared.summary,
                tag=declared.path.split("/")[1],
                endpoint=self._endpoint(declared),
                answers=answers,
                parameters=parameters,
                query=query,
                body=body,
                body_media=declared.body_media,
            )
        )

    def _endpoint(self, declared: Declaration) -> Endpoint:
        """Decodes, authorises, calls the handler, audits, commits, and then answers."""
        decoder = Arguments(
            declared.parameters,
            query=declared.query,
            body=declared.body,
            body_media=declared.body_media,
            bodies=self._bodies,
            workers=self._workers,
        )
        handler, path = declared.handler, self.prefix + declared.path
        names = {kind: name for name, kind in declared.context.items()}
        connection_name = names.pop(Connection, None)

        async def endpoint(request: Request) -> Response:
            arguments, size = await decoder.of(request)
            scope, after_commit = request.scope, AfterCommit()
            operation = f"{scope['method']} {path}"
            call: Call = scope["call"]
            transactions = Transactions(self._database, scope, operation, arguments)
            context = {
                Transactions: transactions,
                Snapshots: Snapshots(self._reads, transactions, call.principal),
                AfterCommit: after_commit,
                Call: call,
                Principal: call.principal,
                PublicUrl: public_url(self._address, scope),
            }
            arguments |= {name: context[kind] for kind, name in names.items()}
            async with self._turn(call, size) if declared.in_turns else nullcontext():
                if connection_name:
                    async with transactions.begin() as connection:
                        result = await handler(**arguments, **{connection_name: connection})
                else:
                    if Snapshots not in names:
                        await transactions.authorise()
                    result = await handler(**arguments)
                await after_commit.run()
                return _respond(result, declared.status)

        return endpoint

    @asynccontextmanager
    async def _turn(self, call: Call, size: int) -> AsyncIterator[None]:
        """Waits for the caller's turn; the body's `size` (bytes) is bounded meanwhile, too."""
        with self._bodies.hold(call, size):
            async with self.turns.turn(call.payer):
                with self._right_of_way.taken() if call.principal.is_staff else nullcontext():
                    yield

    def routes(self, guard: Guard) -> list[Route]:
        """One route per path, so that a 405 lists all methods of the path."""
        paths: dict[str, dict[str, Any]] = {}
        for each in self.operations:
            if each.endpoint:
                paths.setdefault(each.path, {})[each.method] = each.endpoint
        return [self._route(guard, path, endpoints) for path, endpoints in paths.items()]

    def ingest_routes(self) -> Iterator[IngestRoute]:
        """The routes of the operations that take events."""
        for each in self.operations:
            if each.take:
                yield IngestRoute(each.path, self._permission(each), each.take)

    def calls_from_extension(self) -> Calls:
        """Those that pages of any origin may make."""
        return frozenset(
            (each.method, each.path)
            for each in self.operations
            if self._permission(each).from_extension
        )

    def _permission(self, operation: Operation) -> Permission:
        return ROUTES[f"{operation.method} {operation.path.removeprefix(self.prefix)}"]

    def _route(self, guard: Guard, path: str, endpoints: Mapping[str, Any]) -> Route:
        async def dispatch(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            response: Response = await endpoints[method](request)
            return response

        endpoint = dispatch if len(endpoints) > 1 else next(iter(endpoints.values()))
        methods = [*endpoints, *(["HEAD"] if "GET" in endpoints else [])]
        middleware = guard(path.removeprefix(self.prefix), *methods)
        return Route(path, endpoint, methods=methods, middleware=middleware)


def _respond(result: Any, status: int) -> Response:
    if isinstance(result, Response):
        return result
    if isinstance(result, Listing):
        return json_response(result.items, status, {TOTAL: str(result.total)})
    return json_response(result, status)
