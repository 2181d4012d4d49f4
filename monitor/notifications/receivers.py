"""A class's receivers and rules: where its notifications go, which, when, and in which language.

A receiver's URL holds a secret: it is written, sent to, and never read by a caller.
"""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.paging import Id, Page
from monitor.database.resource import Invalid, Resource, Unknown
from monitor.errors import Conflict, NotFound
from monitor.notifications.sending import Problem
from monitor.notifications.texts import Language
from monitor.notifications.urls import RefusedUrl, service_of

# `help`: nobody has taken a call for help; `class_error`: many students are at one error; `quota`:
# a key is near its daily limit; `key_abuse`: a key is misused, or an id.
Kind = Literal["help", "class_error", "quota", "key_abuse"]

_MAX_RECEIVERS = 10  # of a class
_TEST_INTERVAL = 5  # seconds between two tests of a receiver

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Kinds = Annotated[list[Kind], msgspec.Meta(max_length=4)]
SecretUrl = Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]
Clock = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class ReceiverFilter(Page, frozen=True, kw_only=True):
    """The page of a list of receivers, and of which class."""

    class_id: Id | UnsetType = UNSET


class ReceiverCreate(msgspec.Struct, kw_only=True):
    """A new receiver. `url` is one of Apprise, such as `slack://…`; it is never returned."""

    class_id: Id
    name: Label
    url: SecretUrl
    kinds: Kinds


class ReceiverUpdate(msgspec.Struct, kw_only=True):
    """What to change; a new `url` takes the old one's place."""

    name: Label | UnsetType = UNSET
    url: SecretUrl | UnsetType = UNSET
    kinds: Kinds | UnsetType = UNSET


class Receiver(msgspec.Struct, kw_only=True):
    """A receiver without its URL, of which `service` is the kind.

    `problem` is why the latest message was not delivered: `http_404` (an answer), `refused` (an
    address that the operator does not allow), `unreachable`, `timeout`, `invalid` or `failed`; null
    if it was, or if there was none.
    """

    id: int
    class_id: int
    name: str
    service: str
    kinds: list[str]
    created_by: str
    created_at: datetime
    delivered_at: datetime | None
    failed_at: datetime | None
    problem: str | None


class Rules(msgspec.Struct, kw_only=True):
    """When a class's notifications are sent, and how they are written.

    Between `quiet_from` and `quiet_until` (`HH:MM` in `time_zone`) nothing is sent: what still
    holds afterwards is sent then. Both are null without quiet hours. `help_minutes` is how long a
    call for help may wait; `error_percent` of the class's students, three at least, make an error
    one of the class.
    """

    language: Language = "en"
    time_zone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "UTC"
    quiet_from: Clock | None = None
    quiet_until: Clock | None = None
    help_minutes: Annotated[int, msgspec.Meta(ge=1, le=120)] = 5
    error_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 30

    def __post_init__(self) -> None:
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValueError("quiet_from and quiet_until are both times, or both null")


class Test(NamedTuple):
    """What a test message needs."""

    url: str
    class_id: int
    class_name: str
    language: Language


RECEIVERS = Resource(Receiver, "notification_receivers", "receiver")


def checked_service(url: str) -> str:
    """The service of a URL. Raises Invalid."""
    try:
        return service_of(url)
    except RefusedUrl as error:
        raise Invalid("url", str(error)) from None


async def create(connection: asyncpg.Connection, body: ReceiverCreate, by: str) -> Receiver:
    """Raises Unknown, Invalid, and Conflict beyond 10 receivers of a class."""
    if await connection.fetchval(_LOCK_CLASS, body.class_id) is None:
        raise Unknown("class_id", body.class_id)
    if await connection.fetchval(_COUNT, body.class_id) >= _MAX_RECEIVERS:
        raise Conflict(f"A class has at most {_MAX_RECEIVERS} receivers: delete one first")
    await connection.execute(_DEFAULT_RULES, body.class_id)
    fields = msgspec.structs.asdict(body)
    fields |= {"service": checked_service(body.url), "created_by": by}
    return await RECEIVERS.insert(connection, fields)


async def update(
    connection: asyncpg.Connection, receiver_id: int, body: ReceiverUpdate
) -> Receiver:
    """Raises NotFound and Invalid."""
    fields = {
        name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET
    }
    if body.url is not UNSET:
        fields |= {"service": checked_service(body.url), "problem": None}
    return await RECEIVERS.update(connection, receiver_id, fields)


async def get_rules(connection: asyncpg.Connection, class_id: int) -> Rules:
    """Raises NotFound for the class."""
    row = await connection.fetchrow(_SELECT_RULES, class_id)
    if row is None:
        raise NotFound(f"There is no class {class_id}")
    return Rules() if row["language"] is None else Rules(**row)


async def set_rules(connection: asyncpg.Connection, class_id: int, rules: Rules) -> Rules:
    """Raises NotFound for the class, and Invalid for its time zone."""
    if await connection.fetchval(_LOCK_CLASS, class_id) is None:
        raise NotFound(f"There is no class {class_id}")
    if not await connection.fetchval(_HAS_ZONE, rules.time_zone):
        raise Invalid("time_zone", "Expected the name of a time zone, such as Asia/Tokyo")
    await connection.execute(_SET_RULES, class_id, *msgspec.structs.astuple(rules))
    return await get_rules(connection, class_id)


async def begin_test(connection: asyncpg.Connection, receiver_id: int) -> Test:
    """Where to send a test. Raises NotFound, and Conflict within 5 s of the one before."""
    row = await connection.fetchrow(_BEGIN_TEST, receiver_id, _TEST_INTERVAL)
    if row is None:
        await RECEIVERS.get(connection, receiver_id)
        raise Conflict(f"It was tested just now: try again in {_TEST_INTERVAL} s")
    return Test(**row)


async def note_outcome(
    connection: asyncpg.Connection, receiver_id: int, problem: Problem | None
) -> None:
    """Notes how the latest message went."""
    if problem is None:
        await connection.execute(_NOTE_DELIVERY, receiver_id)
    else:
        await connection.execute(_NOTE_PROBLEM, receiver_id, problem)


_LOCK_CLASS = "SELECT id FROM classes WHERE id = $1 FOR NO KEY UPDATE"

_COUNT = "SELECT count(*) FROM notification_receivers WHERE class_id = $1"

_DEFAULT_RULES = "INSERT INTO notification_rules (class_id) VALUES ($1) ON CONFLICT DO NOTHING"

_SELECT_RULES = """
    SELECT r.language, r.time_zone, to_char(r.quiet_from, 'HH24:MI') AS quiet_from,
        to_char(r.quiet_until, 'HH24:MI') AS quiet_until, r.help_minutes, r.error_percent
    FROM classes AS c LEFT JOIN notification_rules AS r ON r.class_id = c.id WHERE c.id = $1
"""

_HAS_ZONE = "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1)"

_SET_RULES = """
    INSERT INTO notification_rules (
        class_id, language, time_zone, quiet_from, quiet_until, help_minutes, error_percent
    )
    VALUES ($1, $2, $3, $4::text::time, $5::text::time, $6, $7)
    ON CONFLICT (class_id) DO UPDATE SET language = EXCLUDED.language,
        time_zone = EXCLUDED.time_zone, quiet_from = EXCLUDED.quiet_from,
        quiet_until = EXCLUDED.quiet_until, help_minutes = EXCLUDED.help_minutes,
        error_percent = EXCLUDED.error_percent
"""

_BEGIN_TEST = """
    UPDATE notification_receivers AS n SET tested_at = now()
    FROM classes AS c JOIN notification_rules AS r ON r.class_id = c.id
    WHERE n.id = $1 AND c.id = n.class_id
        AND (n.tested_at IS NULL OR n.tested_at < now() - make_interval(secs => $2))
    RETURNING n.url, c.id AS class_id, c.name AS class_name, r.language
"""

_NOTE_DELIVERY = (
    "UPDATE notification_receivers SET problem = NULL, delivered_at = now() WHERE id = $1"
)

_NOTE_PROBLEM = "UPDATE notification_receivers SET problem = $2, failed_at = now() WHERE id = $1"
