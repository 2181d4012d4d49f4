"""`/classes/{class_id}/invite`: the link by which students join a class."""

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import UNSET, UnsetType

from monitor.auth.principal import Principal
from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.database.resource import Invalid
from monitor.errors import Conflict, NotFound
from monitor.events.event import Required
from monitor.http.operations import Api
from monitor.http.public_url import PublicUrl
from monitor.http.qr_code import qr_image
from monitor.http.transactions import AfterCommit
from monitor.lms import invites
from monitor.lms.invites import Invite
from monitor.routes.join_page import events_url, join_url


class InviteLink(Invite):
    """An open invitation; `qr_image` is the QR code of its `url`, an SVG image as a `data:` URI."""

    url: str
    qr_image: str


class InviteRotation(msgspec.Struct, frozen=True):
    """What the new invitation's page hands out; as the one before unless given."""

    own_tokens: bool | UnsetType = UNSET


class TokenClaim(msgspec.Struct):
    """Who asks for their own token; somebody who is signed in as a student need not say it."""

    user_id: Required | None = None


class OwnAddress(msgspec.Struct):
    """The URL to paste into the extension, with a student's own token; it is shown only now."""

    url: str


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
        query: InviteRotation,
        caller: Principal,
        base: PublicUrl,
    ) -> InviteLink:
        """Makes an invitation that replaces the open one.

        The old link ends at once. The key that it showed works for 24 hours more, because the
        extension forgets an event that is refused. With `own_tokens` the page shows no key: each
        student of the roster gets a token of their own.
        """
        after_commit(reload)
        invite = await invites.rotate(connection, class_id, caller.name, query.own_tokens)
        return _link(invite, base)

    @api.operation("DELETE", "/classes/{class_id}/invite", raises=(NotFound,))
    async def end_invite(
        connection: Connection, after_commit: AfterCommit, class_id: Id, query: InviteEnd
    ) -> Invite:
        """Ends the class's invitation: its link shows nothing any more.

        Students who have connected go on, unless `revoke_key` ends the key that they post with.
        """
        after_commit(reload)
        return await invites.end(connection, class_id, revoke_key=query.revoke_key)

    @api.operation("POST", "/join/{code}/token", status=201, raises=(NotFound, Conflict))
    async def hand_out_token(
        connection: Connection,
        after_commit: AfterCommit,
        code: str,
        body: TokenClaim,
        caller: Principal,
        base: PublicUrl,
    ) -> OwnAddress:
        """Hands out a student's own token to who has the code of the class's invitation.

        A student who is signed in gets it at once, and nobody else's. Anybody else says which
        student they are, once for each; the token is claimed until the teacher confirms it.
        """
        is_student = caller.role == "student"
        user_id = _own_id(caller, body) if is_student else body.user_id
        if user_id is None:
            raise Invalid("user_id", "Say which student of the class you are")
        token = await invites.hand_out(connection, code, user_id, is_signed_in=is_student)
        after_commit(reload)
        return OwnAddress(events_url(base, api.prefix, token.token))


def _own_id(student: Principal, body: TokenClaim) -> str:
    """Raises Conflict if it is another ID that was said: at a computer that several share."""
    if body.user_id not in (None, student.name):
        raise Conflict(
            f"{student.name} is signed in: if that is you, say no other user_id; if not, sign out"
        )
    return student.name


def _link(invite: Invite, base: PublicUrl) -> InviteLink:
    url = join_url(base, invite.code)
    return InviteLink(**msgspec.structs.asdict(invite), url=url, qr_image=qr_image(url))
