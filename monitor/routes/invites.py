"""`/classes/{class_id}/invite`: the link by which students join a class."""

from collections.abc import Awaitable, Callable

import msgspec

from monitor.auth.principal import Principal
from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.http.public_url import PublicUrl
from monitor.http.qr_code import qr_image
from monitor.http.transactions import AfterCommit
from monitor.lms import invites
from monitor.lms.invites import Invite
from monitor.routes.join_page import join_url


class InviteLink(Invite):
    """An open invitation; `qr_image` is the QR code of its `url`, an SVG image as a `data:` URI."""

    url: str
    qr_image: str


class InviteEnd(msgspec.Struct, frozen=True):
    """Whether the key of an invitation that is ended is revoked as well."""

    revoke_key: bool = False


def declare(api: Api, reload: Callable[[], Awaitable[None]]) -> None:
    """`reload` is called after a change of a key, so that it applies to this replica at once."""

    @api.operation("GET", "/classes/{class_id}/invite", raises=(NotFound,))
    async def get_invite(connection: Connection, class_id: Id, base: PublicUrl) -> InviteLink:
        """The class's open invitation: the link for students."""
        return _link(await invites.get(connection, class_id), base)

    @api.operation("POST", "/classes/{class_id}/invite", status=201, raises=(NotFound, Conflict))
    async def create_invite(
        connection: Connection,
        after_commit: AfterCommit,
        class_id: Id,
        caller: Principal,
        base: PublicUrl,
    ) -> InviteLink:
        """The class's open invitation; one is made if there is none."""
        after_commit(reload)
        return _link(await invites.ensure(connection, class_id, caller.name), base)

    @api.operation(
        "POST", "/classes/{class_id}/invite/rotate", status=201, raises=(NotFound, Conflict)
    )
    async def rotate_invite(
        connection: Connection,
        after_commit: AfterCommit,
        class_id: Id,
        caller: Principal,
        base: PublicUrl,
    ) -> InviteLink:
        """Makes an invitation that replaces the open one.

        The old link ends at once. The key that it showed works for 24 hours more, because the
        extension forgets an event that is refused.
        """
        after_commit(reload)
        return _link(await invites.rotate(connection, class_id, caller.name), base)

    @api.operation("DELETE", "/classes/{class_id}/invite", raises=(NotFound,))
    async def end_invite(
        connection: Connection, after_commit: AfterCommit, class_id: Id, query: InviteEnd
    ) -> Invite:
        """Ends the class's invitation: its link shows nothing any more.

        Students who have connected go on, unless `revoke_key` ends the key that they post with.
        """
        after_commit(reload)
        return await invites.end(connection, class_id, revoke_key=query.revoke_key)


def _link(invite: Invite, base: PublicUrl) -> InviteLink:
    url = join_url(base, invite.code)
    return InviteLink(**msgspec.structs.asdict(invite), url=url, qr_image=qr_image(url))
