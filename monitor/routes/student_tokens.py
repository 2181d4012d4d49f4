"""`/student-tokens`: credentials with which one student posts their events, and nothing else."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.concurrency import run_in_threadpool

from monitor.auth import student_tokens
from monitor.auth.principal import Principal
from monitor.auth.student_tokens import (
    STUDENT_TOKENS,
    NewStudentToken,
    Rotation,
    StudentToken,
    StudentTokenFilter,
    StudentTokenIssue,
)
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Connection
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.http.public_url import PublicUrl
from monitor.http.qr_code import qr_image
from monitor.http.transactions import AfterCommit, Transactions


class IssuedToken(NewStudentToken):
    """A token just issued, and what a student is given.

    `url` is the address to paste into the extension, `qr_image` its QR code: an SVG image as a
    `data:` URI.
    """

    url: str
    qr_image: str


def declare(api: Api, reload: Callable[[], Awaitable[None]]) -> None:
    """`reload` is called after a change, so that it applies to this replica at once."""

    @api.operation("POST", "/classes/{class_id}/tokens", status=201, raises=(NotFound, Conflict))
    async def issue_student_tokens(
        transactions: Transactions,
        after_commit: AfterCommit,
        class_id: Id,
        body: StudentTokenIssue,
        caller: Principal,
        base: PublicUrl,
    ) -> list[IssuedToken]:
        """Issues a token for each student of the roster who has no valid one for the class.

        It goes into the extension's URL, as a key does: `…/events?key=…`, and is shown this once.
        At most 50 at a time: call it again until the answer is empty.
        """
        async with transactions.begin() as connection:
            issued = await student_tokens.issue(connection, class_id, body, caller.name)
        after_commit(reload)
        return await run_in_threadpool(_with_urls, issued, f"{base}{api.prefix}/events")

    @api.operation("GET", "/student-tokens")
    async def list_student_tokens(
        connection: Connection, query: StudentTokenFilter, caller: Principal
    ) -> Listing[StudentToken]:
        """Tokens without their secrets, including those no longer valid."""
        return await STUDENT_TOKENS.find(connection, query, visible(STUDENT_TOKENS.table, caller))

    @api.operation(
        "POST", "/student-tokens/{token_id}/rotate", status=201, raises=(NotFound, Conflict)
    )
    async def rotate_student_token(
        connection: Connection,
        after_commit: AfterCommit,
        token_id: Id,
        query: Rotation,
        caller: Principal,
        base: PublicUrl,
    ) -> IssuedToken:
        """Issues a token that replaces another, which works for 24 hours more, or fewer."""
        after_commit(reload)
        issued = await student_tokens.rotate(connection, token_id, query.hours, caller)
        return _with_urls([issued], f"{base}{api.prefix}/events")[0]

    @api.operation("POST", "/student-tokens/{token_id}/confirm", raises=(NotFound,))
    async def confirm_student_token(
        connection: Connection, after_commit: AfterCommit, token_id: Id
    ) -> StudentToken:
        """Confirms that a token claimed on the join page is in its student's hands."""
        after_commit(reload)
        return await student_tokens.confirm(connection, token_id)

    @api.operation("DELETE", "/student-tokens/{token_id}", raises=(NotFound,))
    async def revoke_student_token(
        connection: Connection, after_commit: AfterCommit, token_id: Id
    ) -> StudentToken:
        """Revokes a token: within seconds no replica accepts it."""
        after_commit(reload)
        return await student_tokens.revoke(connection, token_id)


def _with_urls(issued: Sequence[NewStudentToken], events_url: str) -> list[IssuedToken]:
    """Takes some 15 ms for each."""
    answers = []
    for each in issued:
        url = f"{events_url}?key={each.token}"
        fields = msgspec.structs.asdict(each)
        answers.append(IssuedToken(**fields, url=url, qr_image=qr_image(url)))
    return answers
