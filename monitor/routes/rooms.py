"""`/classes/{class_id}/room`: the seats of a class."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

from monitor.database.paging import Id
from monitor.database.pool import Connection
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit
from monitor.live.history import Publication
from monitor.lms import rooms
from monitor.lms.rooms import Room, RoomUpdate


def declare(api: Api, publish: Callable[[Iterable[Publication]], None]) -> None:
    """`publish` sends messages to subscribers."""

    @api.operation("GET", "/classes/{class_id}/room", raises=(NotFound,))
    async def get_room(connection: Connection, class_id: Id) -> Room:
        """The room of a class: its rows, columns and aisles, and who sits where."""
        return await rooms.room(connection, class_id)

    @api.operation("PUT", "/classes/{class_id}/room", raises=(NotFound,))
    async def put_room(
        connection: Connection, after_commit: AfterCommit, class_id: Id, body: RoomUpdate
    ) -> Room:
        """Changes the room; the class is notified.

        With `seats` they replace all seats, and with `aisles` all aisles; what is left out stays.
        """
        room = await rooms.update(connection, class_id, body)
        after_commit(partial(publish, [room_message(class_id, room)]))
        return room


def room_message(class_id: int, room: Room) -> Publication:
    """What subscribers of a class are told when it has another room, or other seats."""
    return Publication("room", [f"class:{class_id}"], datetime.now(UTC), room)
