"""Which URLs of receivers are accepted: of services for messages, without risky options.

The library knows many more services, some of which run programs or write files; they are refused
by their name before the library sees the URL.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote

# By the scheme of the URL. `https` is that of a service's own webhook, as its site shows it.
SERVICES: Mapping[str, str] = {
    "https": "webhook",
    "slack": "Slack",
    "workflow": "Teams",
    "workflows": "Teams",
    "discord": "Discord",
    "gchat": "Google Chat",
    "mailto": "mail",
    "mailtos": "mail",
    "mmost": "Mattermost",
    "mmosts": "Mattermost",
    "rocket": "Rocket.Chat",
    "rockets": "Rocket.Chat",
    "matrix": "Matrix",
    "matrixs": "Matrix",
    "zulip": "Zulip",
    "wxteams": "Webex",
    "webex": "Webex",
    "line": "LINE",
    "lark": "Lark",
    "tgram": "Telegram",
    "ntfy": "ntfy",
    "ntfys": "ntfy",
    "gotify": "Gotify",
    "gotifys": "Gotify",
    "pover": "Pushover",
    "json": "JSON",
    "jsons": "JSON",
}

# Whose own webhooks begin with https://, by the end of the host.
_HOSTS: Mapping[str, str] = {
    "hooks.slack.com": "Slack",
    "discord.com": "Discord",
    "discordapp.com": "Discord",
    "chat.googleapis.com": "Google Chat",
    "logic.azure.com": "Teams",
    "api.powerplatform.com": "Teams",
}

# Left out are those that read files (templates, keys), switch TLS's checks off, keep the sender
# busy (retries, waits), or send to others than the receiver.
_OPTIONS = frozenset(
    {
        "to",
        "from",
        "name",
        "user",
        "pass",
        "smtp",
        "mode",
        "cc",
        "reply",
        "channel",
        "channels",
        "team",
        "topic",
        "thread",
        "token",
        "key",
        "workspace",
        "id",
        "sig",
        "sp",
        "sv",
        "ver",
        "version",
        "api-version",
        "priority",
        "botname",
        "webhook",
        "image",
    }
)
_MAX_LENGTH = 2_048
_SCHEME = re.compile(r"([a-z]+)://[!-~]+")


class RefusedUrl(ValueError):
    """A receiver's URL is not accepted. The message says why, and has no part of the URL."""


def service_of(url: str) -> str:
    """The service that a URL belongs to, by its scheme. Raises RefusedUrl."""
    match = _SCHEME.fullmatch(url)
    if not match or len(url) > _MAX_LENGTH:
        raise RefusedUrl(
            "Expected a URL such as slack://… or mailtos://…, of at most 2,048 characters of ASCII"
        )
    if match[1] not in SERVICES:
        raise RefusedUrl(f"{match[1]}:// is not supported: use one of {', '.join(SERVICES)}")
    refused = _option_names(url) - _OPTIONS
    if refused:
        raise RefusedUrl(
            "An option behind the ? is not supported: leave out all but "
            + ", ".join(sorted(_OPTIONS))
        )
    return _owner_of(url) or SERVICES[match[1]]


def _owner_of(url: str) -> str | None:
    """The service whose own webhook this is."""
    host = re.split("[/:?#]", url.partition("://")[2])[0]
    return next((name for end, name in _HOSTS.items() if f".{host}".endswith(f".{end}")), None)


def _option_names(url: str) -> set[str]:
    """All that any reader of the URL may take for the name of an option."""
    parts = re.split(r"[&;?#]", url.partition("?")[2])
    return {unquote(part.partition("=")[0]).strip().lower() for part in parts} - {""}
