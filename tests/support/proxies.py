"""Proxies with the configurations of deploy/, before one replica."""

import os
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.programs import find_apache, find_caddy, find_haproxy, find_nginx
from tests.support.servers import LOCALHOST, Server

MODULES = ("mpm_event", "authz_core", "alias", "proxy", "proxy_http", "headers")


class AnyProxy(Server):
    """On a port that is known before it starts. Each of `changes` replaces a text of the file."""

    variable = ""
    question = b"GET /none HTTP/1.0\r\n\r\n"
    answer = b"HTTP/1.1 404"

    def __init__(
        self, directory: Path, port: int, replica: int, changes: dict[str, str] | None = None
    ) -> None:
        super().__init__(directory)
        self.port = port
        self._replica = replica
        self._changes = changes or {}

    def _deployed(self, name: str, file: str = "cell-monitor.conf") -> str:
        text = (ROOT / "deploy" / name / file).read_text()
        for old, new in self._changes.items():
            assert old in text
            text = text.replace(old, new)
        return text.replace(f"{LOCALHOST}:8000", f"{LOCALHOST}:{self._replica}")


class NginxProxy(AnyProxy):
    def command(self, port: int) -> list[str]:
        text = self._deployed("nginx").replace("listen 80;", f"listen {LOCALHOST}:{port};")
        place = self._directory
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{name}_temp_path {place}/{name};\n" for name in paths)
        configuration = place / "nginx.conf"
        configuration.write_text(
            f"daemon off;\nworker_processes 1;\npid {place}/nginx.pid;\n"
            f"error_log {place}/error.log;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}{text}}}\n"
        )
        if os.geteuid() == 0:  # its workers, too, must enter the tests' directory
            configuration.write_text(f"user root;\n{configuration.read_text()}")
        return [find_nginx(), "-p", str(place), "-c", str(configuration), "-e", "stderr"]


class ApacheProxy(AnyProxy):
    def command(self, port: int) -> list[str]:
        program, modules = find_apache()
        loaded = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in MODULES)
        configuration = self._directory / "apache.conf"
        configuration.write_text(
            f"{loaded}ServerName localhost\nListen {LOCALHOST}:{port}\n"
            f"PidFile {self._directory}/apache.pid\nErrorLog {self._directory}/error.log\n"
            f"DefaultRuntimeDir {self._directory}\nDocumentRoot {self._directory}\n"
            f"{self._deployed('apache')}"
        )
        return [program, "-D", "FOREGROUND", "-f", str(configuration)]


class CaddyProxy(AnyProxy):
    answer = b"HTTP/1.0 200"  # of another host's

    def command(self, port: int) -> list[str]:
        text = self._deployed("caddy", "Caddyfile")
        hosts = ", ".join(f"http://{host}:{port}" for host in (LOCALHOST, "localhost"))
        text = text.replace("school.example {", f"{hosts} {{")
        configuration = self._directory / "Caddyfile"
        configuration.write_text(
            f"{{\n\tadmin off\n\tstorage file_system {self._directory}/storage\n}}\n{text}"
        )
        options = ["--config", str(configuration), "--adapter", "caddyfile"]
        return ["env", f"XDG_CONFIG_HOME={self._directory}", find_caddy(), "run", *options]


class TlsFront(Server):
    """What a host has in front: it speaks TLS, and PROXY protocol (version 2) to what is behind."""

    variable = ""
    question = answer = b""
    address = "127.0.0.5"  # from which it connects

    def __init__(self, directory: Path, certificate: Path, behind: int) -> None:
        super().__init__(directory)
        self._certificate = certificate
        self._behind = behind

    def command(self, port: int) -> list[str]:
        configuration = self._directory / "front.cfg"
        configuration.write_text(
            "global\n    maxconn 1000\n"
            "defaults\n    mode tcp\n    timeout connect 3s\n"
            "    timeout client 30s\n    timeout server 30s\n"
            f"listen tls\n    bind {LOCALHOST}:{port} ssl crt {self._certificate}\n"
            f"    server behind {LOCALHOST}:{self._behind} send-proxy-v2 source {self.address}\n"
        )
        return [find_haproxy(), "-db", "-f", str(configuration)]
