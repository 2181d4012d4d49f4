"""`serve --class`: a teacher's whole set-up in one command."""

import os
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from monitor.access import trust
from monitor.auth import audit
from monitor.auth.principal import Principal
from monitor.auth.tokens import mint
from monitor.database.migrations import migrate
from monitor.database.pool import Database
from monitor.errors import CommandError
from monitor.http.public_url import PublicUrl
from monitor.lms import invites
from monitor.lms.class_by_name import ensure_class
from monitor.routes.join_page import join_url
from monitor.settings import Settings

TEACHER = "teacher"  # the user_id that the teacher's link signs in

_SECRET_FILE = "jwt-secret"  # noqa: S105 - a file's name
_SECRET_BYTES = 48
_CREDENTIALS = ("JWT_SECRET", "JWT_JWKS_URL", "JUPYTERHUB_API_URL", "OIDC_ISSUER")
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with
_TEST_NETWORK = ("192.0.2.1", 9)  # reserved for documentation: nothing is sent there
_QUARTER = 90 * 86_400  # seconds
_DATABASE_TIMEOUT = 60.0  # seconds for each statement except those of migrations


class Classroom(NamedTuple):
    """A class and its two links."""

    name: str
    students_url: str
    teacher_url: str


def with_kept_secret(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, with the secret that `serve --class` keeps in DATA_DIR if there is one.

    So a server that once had credentials does not become an open one because it is started without
    `--class`. An environment with credentials of its own stays as it is.
    """
    if _has_any(environment, _CREDENTIALS):
        return environment
    path = _secret_path(environment)
    return {**environment, "JWT_SECRET": _read(path)} if path.exists() else environment


def for_classroom(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment for `serve --class`: with a secret, and listening on the network.

    HOST and PUBLIC_URL stay if they are set. Makes the secret if there is none. Raises CommandError
    where people sign in elsewhere.
    """
    if _has_any(environment, _CREDENTIALS[1:]) and not _has_any(environment, _CREDENTIALS[:1]):
        raise CommandError(
            "--class signs the teacher's link with JWT_SECRET, and here people sign in at"
            " JWT_JWKS_URL, OIDC_ISSUER or JUPYTERHUB_API_URL: start without --class and create"
            " the class on the page, or set JWT_SECRET as well"
        )
    if not _has_any(environment, _CREDENTIALS):
        _keep_secret(_secret_path(environment))
    host = environment.get("HOST", "").strip() or _ANY_ADDRESS[0]
    url = environment.get("PUBLIC_URL", "").strip() or _url(host, environment.get("PORT", ""))
    return with_kept_secret({**environment, "HOST": host, "PUBLIC_URL": url})


async def open_classroom(settings: Settings, postgres: Mapping[str, Any], name: str) -> Classroom:
    """Makes the class of that name, its teacher and its invitation, or finds them.

    `postgres` are asyncpg's connection arguments. Raises Unavailable.
    """
    database = Database(postgres, 1, _DATABASE_TIMEOUT)
    await database.open()
    try:
        async with database.connection() as connection:
            await migrate(connection)
        async with database.transaction() as connection:
            class_id = await ensure_class(connection, name, TEACHER)
            invite = await invites.ensure(connection, class_id, TEACHER)
            operator = Principal("admin", "command line")
            detail = {"class_id": class_id, "name": name}
            await audit.record(connection, operator, operation="serve --class", detail=detail)
    finally:
        await database.close(5.0)
    base = PublicUrl(settings.public_url.rstrip("/"))
    return Classroom(name, join_url(base, invite.code), _teacher_url(settings, base, class_id))


def is_local(url: str) -> bool:
    """Whether a link works on this computer only, because there is no network."""
    return url.startswith("http://127.0.0.1:")


def _teacher_url(settings: Settings, base: PublicUrl, class_id: int) -> str:
    """A link that signs the teacher in, the same all quarter; it is valid for 90 days or more.

    The token is in the fragment, which browsers send to no server.
    """
    quarter_start = int(time.time()) // _QUARTER * _QUARTER
    token = mint(trust(settings), TEACHER, "instructor", 2 * _QUARTER, issued_at=quarter_start)
    return f"{base}/#{urlencode({'token': token, 'to': f'/class/{class_id}'}, safe='/')}"


def _url(host: str, port: str) -> str:
    """The address of a server that listens on `host` and `port`, in its network."""
    name = _network_address() if host in _ANY_ADDRESS else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port.strip() or Settings().port}"


def _network_address() -> str:
    """This computer's address in its network; that of loopback if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_TEST_NETWORK)
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def _has_any(environment: Mapping[str, str], names: tuple[str, ...]) -> bool:
    return any(environment.get(name, "").strip() for name in names)


def _secret_path(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DATA_DIR", "").strip() or Settings().data_dir) / _SECRET_FILE


def _keep_secret(path: Path) -> None:
    """Raises CommandError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise _no_room(path, error) from None
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_SECRET_BYTES))
    except OSError as error:
        path.unlink()
        raise _no_room(path, error) from None


def _no_room(path: Path, error: OSError) -> CommandError:
    return CommandError(
        f"The secret that signs links can't be kept in {path.parent} ({error}): free some space"
        " there, or set DATA_DIR to another directory"
    )


def _read(path: Path) -> str:
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise CommandError(f"The secret that signs tokens can't be read: {error}") from None
    if not secret:  # the server would be an open one
        raise CommandError(f"The secret that signs tokens, {path}, is empty: remove the file")
    return secret
