"""Headers that secure every answer."""

RawHeaders = list[tuple[bytes, bytes]]

NOT_CACHED = (b"cache-control", b"no-store")
SECURITY_HEADERS: RawHeaders = [  # no guessing of types, no framing, no caching, no Referer
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    NOT_CACHED,
    (b"cross-origin-resource-policy", b"same-site"),
    (b"x-frame-options", b"DENY"),
]
