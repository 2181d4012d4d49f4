"""Identity providers: an OpenID Connect provider's keys, and a JupyterHub's users."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://login.example"
RSA, EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
PUBLISHED = {
    "keys": [
        {**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "r", "use": "sig"},
        {**json.loads(ECAlgorithm.to_jwk(EC.public_key())), "kid": "e", "use": "sig"},
    ]
}
USERS = {
    # What people made themselves at the Hub, or their server was started with.
    "hub-admin": {
        "kind": "user",
        "name": "root",
        "admin": True,
        "groups": [],
        "scopes": ["access:servers", "access:services", "admin:users"],
    },
    "hub-teacher": {
        "kind": "user",
        "name": "sensei",
        "admin": False,
        "groups": ["instructors"],
        "scopes": ["access:servers!user=sensei", "read:users:name!user=sensei"],
    },
    "hub-student": {
        "kind": "user",
        "name": "hanako",
        "admin": False,
        "groups": ["1-A"],
        "scopes": ["access:servers!server=hanako/", "users:activity!user=hanako"],
    },
    "hub-service": {
        "kind": "service",
        "name": "cull",
        "admin": True,
        "scopes": ["access:servers", "list:users"],
    },
    # What the Hub issued to others whom the administrator has visited.
    "hub-other-service": {
        "kind": "user",
        "name": "root",
        "admin": True,
        "groups": [],
        "scopes": ["access:services!service=grades", "read:users:name!user=root"],
    },
    "hub-students-server": {
        "kind": "user",
        "name": "root",
        "admin": True,
        "groups": [],
        "scopes": ["access:servers!server=hanako/", "read:users!user=root"],
    },
    "hub-namesakes-server": {
        "kind": "user",
        "name": "root",
        "admin": True,
        "groups": [],
        "scopes": ["access:servers!server=root2/", "access:servers!user=root2"],
    },
    "hub-without-scopes": {"kind": "user", "name": "root", "admin": True, "groups": []},
}


class Provider:
    """Its keys at `/jwks`, its users by their tokens anywhere else."""

    def __init__(self) -> None:
        self.users: dict[str, Any] = dict(USERS)
        self.asked: list[str] = []  # paths
        self.is_down = False
        self.delay = 0.0  # seconds before an answer
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def settings(self) -> dict[str, str]:
        """Of a server that believes it."""
        return {
            "JWT_JWKS_URL": f"{self.url}/jwks",
            "JWT_ISSUER": ISSUER,
            "JUPYTERHUB_API_URL": f"{self.url}/hub/api",
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                time.sleep(provider.delay)
                token = self.headers.get("Authorization", "").removeprefix("token ")
                answer = PUBLISHED if self.path == "/jwks" else provider.users.get(token)
                self.send_response(503 if provider.is_down else 200 if answer else 403)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                """Keeps quiet."""

        return Handler


@contextmanager
def run_provider() -> Iterator[Provider]:
    provider = Provider()
    threading.Thread(target=provider.server.serve_forever, daemon=True).start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()


def signed_token(key: Any, algorithm: str, kid: str, **claims: Any) -> str:
    return jwt.encode(_claims(claims), key, algorithm, headers={"kid": kid})


def confused_token() -> str:
    """A token whose HMAC is made with the published RSA key, as text."""
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    said = f"{_part({'alg': 'HS256', 'kid': 'r'})}.{_part(_claims({}))}"
    mac = hmac.new(public, said.encode(), hashlib.sha256).digest()
    return f"{said}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _claims(more: dict[str, Any]) -> dict[str, Any]:
    usual = {"iss": ISSUER, "aud": "cell-monitor", "sub": "x", "role": ["staff", "admin"]}
    return {**usual, "exp": int(time.time()) + 60, **more}


def _part(said: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
