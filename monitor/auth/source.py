"""The source of a request's events: its credential, and what its URL and headers say of them."""

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import lru_cache
from math import isinf
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Scope

from monitor.auth.call import Call
from monitor.auth.limits import network_of
from monitor.auth.principal import Principal
from monitor.events.event import OLDEST, Source, in_utc, time_of

_SENT_AT = b"x-sent-at"
_MICROSECOND = timedelta(microseconds=1)
_MAX_CLASS_CODE = 512  # characters, as in an event
_SECRET = secrets.token_bytes(32)  # so that no address can be read from what is stored


def source_of(call: Call, scope: Scope, received_at: datetime) -> Source:
    """Who sends the events of a call that was received at that time (UTC).

    A `sentAt` that is no time, or an absurd one, is ignored: it only helps to judge the sender's
    clock.
    """
    principal = call.principal
    source = _of(principal, "" if principal.student is not None else call.host)
    class_code = sent_at = ""
    query = scope["query_string"]
    if b"class=" in query or b"sentAt=" in query:
        class_code, sent_at = _named(query)
    for name, value in scope["headers"]:
        if name == _SENT_AT:
            sent_at = value.decode("latin-1")
    if not class_code and not sent_at:
        return source
    return msgspec.structs.replace(
        source,
        class_code=class_code[:_MAX_CLASS_CODE] or None,
        sent_offset=_sent_offset(sent_at, received_at) if sent_at else None,
    )


def _sent_offset(sent_at: str, received_at: datetime) -> int | None:
    sent = time_of(sent_at)
    offset = None if sent is None else received_at - in_utc(sent)
    return None if offset is None or abs(offset) > OLDEST else offset // _MICROSECOND


@lru_cache(16_384)
def _of(principal: Principal, host: str) -> Source:
    """One object for each sender: what is known of it is found by its id."""
    return Source(
        credential=principal.credential,
        class_id=principal.class_id,
        student=principal.student,
        verified=principal.student is not None and principal.confirmed,
        valid_until=None if isinf(principal.expires) else principal.expires,
        other_ids=principal.other_ids,
        payer=_opaque(network_of(host)) if host else None,
    )


def _opaque(network: str) -> str:
    return hashlib.blake2b(network.encode(), key=_SECRET, digest_size=8).hexdigest()


def _named(query: bytes) -> tuple[str, str]:
    """The class code and the time of sending in a URL; empty where it has none."""
    fields = dict(parse_qsl(query.decode("latin-1")))
    return fields.get("class", "").replace("\0", ""), fields.get("sentAt", "")
