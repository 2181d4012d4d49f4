"""An OpenID Connect provider that signs its users in: the code flow, with PKCE and refreshing."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote_plus, urlencode, urlsplit

import jwt

from tests.support.provider import PUBLISHED, RSA

CLIENT = "cell monitor"  # both need encoding in a header
SECRET = "p@ss:wörd"
SENSEI = {"sub": "sensei", "name": "鈴木先生", "role": "instructor"}


class Refused(Exception):
    """An answer 400 of the token endpoint, with its `error`."""


class OpenIdProvider:
    """Signs `claims` in as soon as it is asked, and remembers what it was asked.

    `lifetime` (s) is that of access tokens. `changed` replaces claims of its ID tokens, which `key`
    signs; None takes one away. `issued` are all its tokens.
    """

    def __init__(self, *, secret: str = SECRET, refreshes: bool = True) -> None:
        self.secret = secret
        self.refreshes = refreshes
        self.claims: dict[str, Any] = dict(SENSEI)
        self.changed: dict[str, Any] = {}
        self.key = RSA
        self.lifetime = 3600
        self.issued: list[str] = []
        self.is_down = self.ends_logins = False
        self.delay = 0.0  # seconds before an answer to the server
        self.refreshed = 0
        self.signed_out: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh_tokens: set[str] = set()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.provider = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def settings(self) -> dict[str, str]:
        """Of a server at which its users sign in."""
        return {
            "OIDC_ISSUER": self.url,
            "OIDC_CLIENT_ID": CLIENT,
            **({"OIDC_CLIENT_SECRET": self.secret} if self.secret else {}),
        }

    def published(self) -> dict[str, Any]:
        names = ("authorization", "token", "end_session")
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            **{f"{name}_endpoint": f"{self.url}/{name}" for name in names},
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser goes: back, with a code."""
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe()
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def tokens(self, form: dict[str, str], authorization: str) -> dict[str, Any]:
        """Raises Refused."""
        self._check_client(form, authorization)
        if form["grant_type"] == "refresh_token":
            if self.ends_logins or form["refresh_token"] not in self._refresh_tokens:
                raise Refused("invalid_grant")
            self._refresh_tokens.remove(form["refresh_token"])  # each can be used once
            self.refreshed += 1
            return self._granted({})
        asked = self._codes.pop(form["code"], None)
        if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
            raise Refused("invalid_grant")
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            raise Refused("invalid_grant")
        return self._granted({"nonce": asked["nonce"]})

    def _check_client(self, form: dict[str, str], authorization: str) -> None:
        pair = f"{quote_plus(CLIENT)}:{quote_plus(self.secret)}".encode()
        expected = f"Basic {base64.b64encode(pair).decode()}" if self.secret else ""
        if form["client_id"] != CLIENT or authorization != expected:
            raise Refused("invalid_client")

    def _granted(self, claims: dict[str, Any]) -> dict[str, Any]:
        now = int(time.time())
        said = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 60}
        said |= {**self.claims, **claims, **self.changed}
        said = {name: value for name, value in said.items() if value is not None}
        granted: dict[str, Any] = {
            "access_token": "x",
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "id_token": jwt.encode(said, self.key, "RS256", headers={"kid": "r"}),
        }
        if self.refreshes:
            granted["refresh_token"] = secrets.token_urlsafe()
            self._refresh_tokens.add(granted["refresh_token"])
            self.issued.append(granted["refresh_token"])
        self.issued.append(granted["id_token"])
        return granted


class _Server(ThreadingHTTPServer):
    provider: OpenIdProvider


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        url, provider = urlsplit(self.path), self.server.provider
        query = dict(parse_qsl(url.query))
        if provider.is_down:
            self._answer(503, {})
        elif url.path == "/.well-known/openid-configuration":
            self._answer(200, provider.published())
        elif url.path == "/jwks":
            self._answer(200, PUBLISHED)
        elif url.path == "/authorization":
            self._lead(provider.authorize(query))
        else:
            assert url.path == "/end_session"
            provider.signed_out.append(query)
            self._lead(query["post_logout_redirect_uri"])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        authorization = self.headers.get("Authorization", "")
        time.sleep(self.server.provider.delay)
        if self.server.provider.is_down:
            self._answer(503, {})
            return
        try:
            self._answer(200, self.server.provider.tokens(form, authorization))
        except Refused as error:
            self._answer(400, {"error": str(error)})

    def _lead(self, url: str) -> None:
        self.send_response(302)
        self.send_header("Location", url)
        self.end_headers()

    def _answer(self, status: int, content: Any) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""


@contextmanager
def run_openid(**options: Any) -> Iterator[OpenIdProvider]:
    provider = OpenIdProvider(**options)
    threading.Thread(target=provider.server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
