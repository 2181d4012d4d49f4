"""PostgreSQL and Redis as a school's hosts give them: with passwords, TLS and Sentinels."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, STDOUT

import trustme

from monitor.database.embedded.privileges import unprivileged_user
from tests.support.postgres import Address
from tests.support.programs import find_pgbouncer, find_postgres, find_strict_redis
from tests.support.servers import LOCALHOST, InfluxServer, Server

PASSWORD = "p@ss/wörd:1"
QUOTED = "p%40ss%2Fw%C3%B6rd%3A1"  # in a URL
HBA = "hostssl all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n"


class Certificates:
    """A certificate for `localhost`, its key, and the authority's that signed it, as files."""

    def __init__(self, directory: Path) -> None:
        authority, others = trustme.CA(), trustme.CA()
        issued = authority.issue_cert("localhost")
        self.authority, self.other_authority = directory / "ca.pem", directory / "other.pem"
        self.certificate, self.key = directory / "server.pem", directory / "server.key"
        authority.cert_pem.write_to_path(str(self.authority))
        others.cert_pem.write_to_path(str(self.other_authority))
        issued.cert_chain_pems[0].write_to_path(str(self.certificate))
        issued.private_key_pem.write_to_path(str(self.key))


def _unprivileged(directory: Path) -> list[str]:
    """What starts a program that root may not run, as the directory's owner."""
    user = unprivileged_user(directory)
    if user is None:
        return []
    return ["setpriv", f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups"]


class _Reachable(Server):
    """One that isn't asked anything: it answers when its port does."""

    variable = ""
    question = answer = b""

    def _answers(self, port: int) -> bool:
        with suppress(OSError), socket.create_connection((self.host, port), timeout=1):
            return True
        return False


class TlsRedis(_Reachable):
    """Redis that speaks TLS only, and wants a user's password."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        super().__init__(directory)
        self._certificates = certificates

    def command(self, port: int) -> list[str]:
        files = self._certificates
        return [
            *find_strict_redis(),
            *("--bind", LOCALHOST, "--port", "0", "--tls-port", str(port), "--save", ""),
            *("--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key)),
            *("--tls-ca-cert-file", str(files.authority), "--tls-auth-clients", "no"),
            *("--user", "monitor", "on", f">{PASSWORD}", "~*", "&*", "+@all"),
            *("--user", "default", "off", "--dir", str(self._directory)),
        ]


class PlainRedis(_Reachable):
    """Redis that wants a password; a replica of another one, if `master` names its port."""

    def __init__(self, directory: Path, master: int | None = None) -> None:
        super().__init__(directory)
        self._master = master

    def command(self, port: int) -> list[str]:
        options = ["--bind", LOCALHOST, "--port", str(port), "--dir", str(self._directory)]
        options += ["--unixsocket", str(self._directory / "redis.sock"), "--save", ""]
        options += ["--requirepass", PASSWORD, "--masterauth", PASSWORD]
        if self._master:
            options += ["--replicaof", LOCALHOST, str(self._master)]
        return [*find_strict_redis(), *options]


class GuardedInflux(InfluxServer):
    """InfluxDB that wants a user and a password."""

    variable = ""

    def command(self, port: int) -> list[str]:
        env, clean, *rest = super().command(port)
        return [env, clean, "INFLUXDB_HTTP_AUTH_ENABLED=true", *rest]


class SentinelServer(_Reachable):
    """A Sentinel that watches a master called `school`, and decides alone.

    `password` is its own. It speaks TLS to a master with `certificates`, and passes on the name
    that these are for.
    """

    def __init__(
        self,
        directory: Path,
        master: int,
        *,
        password: str = "",
        certificates: Certificates | None = None,
    ) -> None:
        super().__init__(directory)
        self._master = master
        self._password = password
        self._certificates = certificates

    def command(self, port: int) -> list[str]:
        configuration = self._directory / "sentinel.conf"
        host = "localhost" if self._certificates else LOCALHOST
        configuration.write_text(
            f"bind {LOCALHOST}\nport {port}\ndir {self._directory}\n{self._tls()}"
            f"sentinel monitor school {host} {self._master} 1\n"
            f'sentinel auth-pass school "{PASSWORD}"\n'
            "sentinel down-after-milliseconds school 1000\n"
            "sentinel failover-timeout school 5000\n"
        )
        if self._password:
            with configuration.open("a") as file:
                file.write(f'requirepass "{self._password}"\n')
        if self._certificates:
            with configuration.open("a") as file:
                file.write("sentinel auth-user school monitor\n")
        return [*find_strict_redis(), str(configuration), "--sentinel"]

    def _tls(self) -> str:
        if self._certificates is None:
            return ""
        files = self._certificates
        return (
            f"tls-replication yes\ntls-ca-cert-file {files.authority}\n"
            f"tls-cert-file {files.certificate}\ntls-key-file {files.key}\n"
            "sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n"
        )


class TlsPostgres(_Reachable):
    """PostgreSQL on a port, with TLS and a password for its user `monitor`, who owns `school`."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        super().__init__(directory)
        self.directory = directory
        self._user = unprivileged_user(directory)
        self._data = directory / "data"
        for each in (certificates.certificate, certificates.key):
            self._give(Path(shutil.copy(each, directory)), 0o600)
        self._give(directory, 0o700)

    def _give(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        if self._user:
            os.chown(path, *self._user)

    def _as_user(self, name: str) -> list[str]:
        return [*_unprivileged(self._directory), *find_postgres(name)]

    def initialise(self) -> None:
        """Makes the cluster, which listens on the socket and on the port with TLS."""
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "--encoding=UTF8")
        hba = self._data / "pg_hba.conf"
        hba.write_text(HBA)

    def _run(self, name: str, *arguments: str, statements: str = "") -> None:
        done = subprocess.run(
            [*self._as_user(name), *arguments],
            input=statements,
            stdout=PIPE,
            stderr=STDOUT,
            text=True,
            cwd="/",
        )
        assert done.returncode == 0, done.stdout

    def command(self, port: int) -> list[str]:
        ssl = {
            "ssl": "on",
            "ssl_cert_file": str(self._directory / "server.pem"),
            "ssl_key_file": str(self._directory / "server.key"),
            "listen_addresses": LOCALHOST,
            "unix_socket_directories": str(self._directory),
            "fsync": "off",
        }
        options = [f"--{name}={value}" for name, value in ssl.items()]
        return [*self._as_user("postgres"), "-D", str(self._data), "-p", str(port), *options]

    def _answers(self, port: int) -> bool:
        """Its port answers before it has started up."""
        ask = ["-h", str(self._directory), "-p", str(port), "-q"]
        asked = [*self._as_user("pg_isready"), *ask]
        return super()._answers(port) and subprocess.run(asked, cwd="/").returncode == 0

    def address(self, user: str, database: str) -> Address:
        """At the Unix socket, without a password."""
        host = str(self.directory)
        return {"host": host, "port": self.port, "user": user, "database": database}

    @property
    def socket(self) -> str:
        """The path of its Unix socket."""
        return f"{self.directory}/.s.PGSQL.{self.port}"

    def execute(self, statements: str, database: str = "postgres") -> None:
        """Runs them as the superuser, each in a transaction of its own."""
        address = ["-h", str(self._directory), "-p", str(self.port), "-U", "postgres"]
        self._run("psql", *address, "-d", database, "-v", "ON_ERROR_STOP=1", statements=statements)


@contextmanager
def tls_postgres(certificates: Certificates) -> Iterator[TlsPostgres]:
    with tempfile.TemporaryDirectory(prefix="tls-") as directory:
        server = TlsPostgres(Path(directory), certificates)
        server.initialise()
        with server:
            yield server


class PgBouncer(_Reachable):
    """A pooler before a PostgreSQL, at the Unix socket in its directory `host`.

    It shares sessions by transactions, and listens there, too. `address` are asyncpg's arguments.
    """

    def __init__(self, directory: Path, address: Address, **settings: str) -> None:
        super().__init__(directory)
        self._behind = address
        self._settings = settings

    @property
    def socket(self) -> str:
        """The path of its Unix socket."""
        return f"{self._behind['host']}/.s.PGSQL.{self.port}"

    def command(self, port: int) -> list[str]:
        address, place = self._behind, Path(self._behind["host"])
        settings = {
            "listen_addr": LOCALHOST,
            "listen_port": str(port),
            "unix_socket_dir": str(place),
            "auth_type": "any",
            "pool_mode": "transaction",
            **self._settings,
        }
        where = f"host={place} port={address['port']} user={address['user']}"
        lines = [f"{name} = {value}" for name, value in settings.items()]
        configuration = place / f"pgbouncer-{port}.ini"
        configuration.write_text(
            "\n".join(
                ["[databases]", f"{address['database']} = {where}", "[pgbouncer]", *lines, ""]
            )
        )
        configuration.chmod(0o644)
        return [*_unprivileged(place), find_pgbouncer(), str(configuration)]
