"""Credentials for the tests: tokens good and bad, and a replica that asks for them."""

import base64
import json
import time
from typing import Any

import httpx
import jwt

SECRET = "a secret of the tests, which is long enough"
CLAIMS = {"iss": "cell-monitor", "aud": "cell-monitor"}


def token(name: str, role: str | None = "student", **claims: Any) -> str:
    said: dict[str, Any] = {**CLAIMS, "sub": name, "exp": int(time.time()) + 86_400}
    if role:
        said["role"] = role
    return jwt.encode({**said, **claims}, SECRET, "HS256")


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def subprotocols(credential: str) -> list[Any]:
    """What a socket offers in place of a header."""
    return ["cell-monitor", f"bearer.{credential}"]


def unsigned(name: str, role: str) -> str:
    """A token with `alg: none`."""
    said = {**CLAIMS, "sub": name, "exp": int(time.time()) + 86_400, "role": role}
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, said)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def client(url: str, credential: str | None, prefix: str = "/api/v1") -> httpx.AsyncClient:
    headers = bearer(credential) if credential else {}
    return httpx.AsyncClient(base_url=url + prefix, headers=headers, timeout=15)
