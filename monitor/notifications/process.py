"""The process that sends one message to one receiver, and ends.

It reads a Task from its standard input and writes an Outcome to its standard output. The URL and
what the library logs may hold secrets: neither is written anywhere.
"""

import io
import logging
import re
import resource
import signal
import sys

import apprise
import msgspec

from monitor.notifications.addresses import Boundary

_MAX_MEMORY = 1024 * 1024 * 1024  # bytes of address space
_STATUS = re.compile(r"error=(\d{3})\b")

# Whatever the scheme says, the library takes a service's own address (https://…) for that service.
_CLASSES = frozenset(
    {
        "NotifySlack",
        "NotifyWorkflows",
        "NotifyDiscord",
        "NotifyGoogleChat",
        "NotifyEmail",
        "NotifyMattermost",
        "NotifyRocketChat",
        "NotifyMatrix",
        "NotifyZulip",
        "NotifyWebexTeams",
        "NotifyLine",
        "NotifyLark",
        "NotifyTelegram",
        "NotifyNtfy",
        "NotifyGotify",
        "NotifyPushover",
        "NotifyJSON",
    }
)


class Task(msgspec.Struct, kw_only=True):
    """What to send where, within `seconds`. Without a `title` the URL is only checked.

    `networks` may be reached beside public addresses, `refused_networks` not even then; without
    `networks` any address may.
    """

    url: str
    title: str = ""
    body: str = ""
    networks: list[str] | None = None
    refused_networks: list[str] = []
    seconds: int = 20


class Outcome(msgspec.Struct):
    """`problem` is a code, see `sending.Problem`; None: the receiver has accepted the message."""

    problem: str | None


def run(task: Task) -> Outcome:
    """Sends the message."""
    asset = apprise.AppriseAsset(http_redirects=False, app_id="Cell Monitor", allow_templates=False)
    receiver = apprise.Apprise.instantiate(task.url, asset=asset)
    if receiver is None or type(receiver).__name__ not in _CLASSES:
        return Outcome("invalid")
    if not task.title:
        return Outcome(None)
    boundary = Boundary(task.networks or [], task.refused_networks)
    if task.networks is not None:
        boundary.close()
    log = io.StringIO()
    logging.getLogger("apprise").addHandler(logging.StreamHandler(log))
    if receiver.notify(body=task.body, title=task.title, body_format=apprise.NotifyFormat.TEXT):
        return Outcome(None)
    if boundary.refused:
        return Outcome("refused")
    statuses = _STATUS.findall(log.getvalue())
    return Outcome(f"http_{statuses[-1]}" if statuses else "unreachable")


def main() -> None:
    """Ends itself when the time is over, should the server have been killed."""
    _limit(resource.RLIMIT_AS, _MAX_MEMORY)
    _limit(resource.RLIMIT_CORE, 0)  # a dump would hold the URL
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    signal.alarm(task.seconds + 5)
    sys.stdout.buffer.write(msgspec.json.encode(run(task)))


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    main()
