"""The commands of `/ws` and the answers to them, as docs/live.md has them."""

from collections.abc import Sequence, Set
from typing import Annotated, Literal, Self
from urllib.parse import unquote

import msgspec

from monitor.errors import Forbidden, OverLimit, Unavailable

MAX_CHANNELS = 1000
MAX_CHANNEL_LENGTH = 2000  # characters
MAX_NAME_LENGTH = 200  # characters

Interval = Annotated[int, msgspec.Meta(ge=0, le=10_000)]  # ms


class SocketQuery(msgspec.Struct):
    """The parameters of the URL."""

    channels: str = ""
    since: str = ""
    coalesce: Interval = 0
    name: Annotated[str, msgspec.Meta(max_length=MAX_NAME_LENGTH)] = ""


class Command(msgspec.Struct):
    """A client's message. `coalesce` is in milliseconds."""

    action: Literal["subscribe", "unsubscribe", "ping", "presence"]
    channels: list[str] = []
    since: str | None = None
    coalesce: Interval | None = None


class Subscribed(msgspec.Struct):
    """The channels of a subscription; `recovered` says whether nothing since the cursor is lost."""

    channels: list[str]
    recovered: bool


class Unsubscribed(msgspec.Struct):
    """The channels whose subscription ended."""

    channels: list[str]


class Pong(msgspec.Struct):
    """The answer to a ping."""


class Error(msgspec.Struct):
    """What was wrong with a command, or refused: a code for programs, a message for people."""

    code: str
    message: str

    @classmethod
    def of(cls, error: Forbidden | OverLimit | Unavailable) -> Self:
        """The answer to a command that was refused."""
        codes = {Forbidden: "forbidden", OverLimit: "over_limit"}
        return cls(codes.get(type(error), "unavailable"), error.public_message())


_DECODER = msgspec.json.Decoder(Command)


def read_command(frame: str | bytes) -> Command | Error:
    """The command of a frame, or what is wrong with it."""
    try:
        return _DECODER.decode(frame)
    except msgspec.ValidationError as error:
        return Error("invalid_command", str(error))
    except (ValueError, RecursionError) as error:  # of JSON and of UTF-8
        return Error("invalid_json", str(error))


def what_is_wrong(channels: Sequence[str], present: Set[str]) -> Error | None:
    """Why a socket that has the `present` channels can't take a command with these."""
    if len({*present, *channels}) > MAX_CHANNELS:
        return Error("too_many_channels", f"A socket has at most {MAX_CHANNELS} channels")
    if any(len(name) > MAX_CHANNEL_LENGTH for name in channels):
        return Error(
            "invalid_channel", f"A channel's name has at most {MAX_CHANNEL_LENGTH} characters"
        )
    if any("\0" in unquote(name) for name in {*channels}):
        return Error("invalid_channel", "A channel's name has no NUL")
    return None
