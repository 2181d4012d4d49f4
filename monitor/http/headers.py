"""Headers that secure every answer."""

RawHeaders = list[tuple[bytes, bytes]]

SECURITY_HEADERS: RawHeaders = [  # no guessing of types, no framing, no caching, no Referer
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"x-frame-options", b"DENY"),
]
