"""Redis, InfluxDB, HAProxy, Prometheus, Alertmanager for the tests, started and ended with them."""

import os
import random
import re
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

from tests.support.paths import ROOT
from tests.support.programs import (
    find_alertmanager,
    find_haproxy,
    find_influxd,
    find_prometheus,
    find_redis,
    find_strict_redis,
)

LOCALHOST = "127.0.0.1"
ATTEMPTS = 3
READY_SECONDS = 20
STOP_SECONDS = 15
LOG_TAIL = 3000

# The shell becomes the server; what it leaves behind waits on a pipe that only the test process
# holds open. Linux's death signal would strike when the thread that started the server ends.
TIED_TO_PARENT = 'exec 3<&0; (read _ <&3; kill -KILL $$) & exec "$@" 3<&- </dev/null'


class ServerError(RuntimeError):
    """A server that can't be handled, with what to do about it."""


class Server(ABC):
    """A server on a port of its own, or the one that an environment variable names."""

    variable: ClassVar[str]
    question: ClassVar[bytes]
    answer: ClassVar[bytes]

    def __init__(self, directory: Path) -> None:
        self.host, self.port = LOCALHOST, 0
        self._directory = directory
        self._log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._named = os.environ.get(self.variable)
        if self._named:
            self.host, self.port = self._address(self._named)

    def __enter__(self) -> Self:
        if not self._named:
            self.start()
        elif not self._answers(self.port):
            raise ServerError(f"{self.variable}={self._named} does not answer")
        return self

    def __exit__(self, *_: object) -> None:
        if not self._named:
            self.stop()

    def start(self) -> None:
        """Start the server, on the port it had before, unless it is there and answers."""
        if self._process and self._answers(self.port):
            return
        self._end(signal.SIGKILL)
        for _ in range(ATTEMPTS):
            port = self.port or free_port()
            self._process = self._spawn(port)
            if self._becomes_ready(self._process, port):
                self.port = port
                return
            self._end(signal.SIGKILL)
        raise ServerError(f"The server does not start:\n{self._log_tail()}")

    def stop(self) -> None:
        """End the server in order, if it is running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once, if it is running."""
        self._end(signal.SIGKILL)

    @abstractmethod
    def command(self, port: int) -> list[str]:
        """The program and its arguments."""

    def _address(self, named: str) -> tuple[str, int]:
        match = re.fullmatch(r"(?:http://)?([^:/]+):(\d+)/?", named)
        if not match:
            raise ServerError(f"{self.variable}={named} is no address of host and port")
        return match[1], int(match[2])

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", TIED_TO_PARENT, "sh", *self.command(port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the server
            )

    def _becomes_ready(self, process: subprocess.Popen[bytes], port: int) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return process.poll() is None  # on a port just taken it is another one that answers

    def _answers(self, port: int) -> bool:
        try:
            with socket.create_connection((self.host, port), timeout=1) as connection:
                connection.sendall(self.question)
                return connection.recv(len(self.answer)) == self.answer
        except OSError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._named:
            raise ServerError(f"The server {self.variable} names can't be started or stopped here")
        if not self._process:
            return
        with self._process as process:
            self._process = None
            os.killpg(process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-LOG_TAIL:]


class RedisServer(Server):
    """Redis, or Valkey, that keeps nothing on disk."""

    variable = "TEST_REDIS"
    question = b"PING\r\n"
    answer = b"+PONG"

    def command(self, port: int) -> list[str]:
        """The server with no configuration file."""
        options = ["--bind", LOCALHOST, "--port", str(port), "--dir", str(self._directory)]
        return [*self._program(), *options, "--save", "", "--appendonly", "no"]

    def _program(self) -> list[str]:
        return [find_redis()]


class StrictRedisServer(RedisServer):
    """Redis that cuts off slow subscribers, which the wheel's does not, on that port."""

    variable = ""  # none: its limits are changed

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(directory)
        self.port = port

    def _program(self) -> list[str]:
        return find_strict_redis()


class InfluxServer(Server):
    """InfluxDB 1.x that keeps its data in the given directory."""

    variable = "TEST_INFLUXDB"
    question = b"GET /ping HTTP/1.0\r\n\r\n"
    answer = b"HTTP/1.0 204"

    @property
    def url(self) -> str:
        """The address of its HTTP interface."""
        return f"http://{self.host}:{self.port}"

    def command(self, port: int) -> list[str]:
        """The server with this configuration, and nothing of the user's or the machine's own."""
        settings = (
            f"BIND_ADDRESS={LOCALHOST}:0",
            f"DATA_DIR={self._directory}/data",
            "DATA_MAX_VALUES_PER_TAG=0",
            "DATA_QUERY_LOG_ENABLED=false",
            f"DATA_WAL_DIR={self._directory}/wal",
            f"HTTP_BIND_ADDRESS={LOCALHOST}:{port}",
            "HTTP_LOG_ENABLED=false",
            f"META_DIR={self._directory}/meta",
            "MONITOR_STORE_ENABLED=false",
            "REPORTING_DISABLED=true",
        )
        program = [find_influxd(), "-config", os.devnull]
        return ["env", "-i", *(f"INFLUXDB_{setting}" for setting in settings), *program]


class HaproxyServer(Server):
    """HAProxy with the configuration of deploy/, for replicas on these ports.

    `variables` are those of its environment; with a certificate among them it has a `tls_port`.
    """

    variable = ""  # none: a running one would not know the replicas
    question = b"GET /balancer HTTP/1.0\r\n\r\n"
    answer = b"HTTP/1.1 200"

    def __init__(
        self, directory: Path, replicas: Sequence[int], variables: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(directory)
        self._replicas = replicas
        self._variables = variables or {}
        self.tls_port = free_port()

    def command(self, port: int) -> list[str]:
        """The server in the foreground."""
        configuration = self._directory / "haproxy.cfg"
        configuration.write_text(self._configuration(port))
        variables = (f"{name}={value}" for name, value in self._variables.items())
        return ["env", *variables, find_haproxy(), "-db", "-f", str(configuration)]

    def _configuration(self, port: int) -> str:
        text = (ROOT / "deploy" / "haproxy.cfg").read_text()
        replicas = "".join(
            f"    server server{number} {LOCALHOST}:{replica}\n"
            for number, replica in enumerate(self._replicas, 1)
        )
        text = re.sub(r"    server-template .*\n", replicas, text)
        text = re.sub(r" resolvers docker .*", "", text)
        text = text.replace("maxconn 10000", "maxconn 1000")  # for which limits need not be raised
        text = text.replace("bind :8443", f"bind {LOCALHOST}:{self.tls_port}")
        return text.replace("bind :8080", f"bind {LOCALHOST}:{port}")


class PrometheusServer(Server):
    """Prometheus with the configuration of deploy/, for one replica, scraped each second.

    With the port of an Alertmanager its alerts go there, after a second in place of a minute.
    """

    variable = ""  # none: a running one would not know the replica
    question = b"GET /-/ready HTTP/1.0\r\n\r\n"
    answer = b"HTTP/1.0 200"

    def __init__(
        self, directory: Path, replica: int, token: str, alertmanager: int | None = None
    ) -> None:
        super().__init__(directory)
        self._replica = replica
        self._token = token
        self._alertmanager = alertmanager

    @property
    def url(self) -> str:
        """The address of its HTTP interface."""
        return f"http://{self.host}:{self.port}"

    def command(self, port: int) -> list[str]:
        """The server with its data in the given directory."""
        deployed = ROOT / "deploy" / "prometheus"
        rules = (deployed / "cell-monitor.rules.yml").read_text()
        (self._directory / "metrics-token").write_text(self._token + "\n")
        text = (deployed / "prometheus.yml").read_text()
        text = text.replace("server:8000", f"{LOCALHOST}:{self._replica}").replace("15s", "1s")
        if self._alertmanager:
            rules = rules.replace("for: 1m", "for: 1s")
            text = re.sub("^# (?=alerting:|  )", "", text, flags=re.MULTILINE)
            text = text.replace("alertmanager:9093", f"{LOCALHOST}:{self._alertmanager}")
        (self._directory / "cell-monitor.rules.yml").write_text(rules)
        configuration = self._directory / "prometheus.yml"
        configuration.write_text(text)
        return [
            find_prometheus(),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address={LOCALHOST}:{port}",
        ]


class AlertmanagerServer(Server):
    """Alertmanager with the configuration of deploy/, whose receiver is at this URL."""

    variable = ""  # none: a running one would not know the receiver
    question = b"GET /-/ready HTTP/1.0\r\n\r\n"
    answer = b"HTTP/1.0 200"

    def __init__(self, directory: Path, receiver: str) -> None:
        super().__init__(directory)
        self._receiver = receiver

    def command(self, port: int) -> list[str]:
        """The server with its data in the given directory; it sends at once."""
        text = (ROOT / "deploy" / "prometheus" / "alertmanager.yml").read_text()
        text = re.sub(r"url: http://127\S+", f"url: {self._receiver}", text)
        configuration = self._directory / "alertmanager.yml"
        configuration.write_text(text.replace("group_wait: 10s", "group_wait: 0s"))
        return [
            *find_alertmanager(),
            f"--config.file={configuration}",
            f"--storage.path={self._directory / 'data'}",
            f"--web.listen-address={LOCALHOST}:{port}",
            "--cluster.listen-address=",
        ]


def free_port() -> int:
    """A port where nobody listens, below those that outgoing connections are given."""
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket() as probe:
            if probe.connect_ex((LOCALHOST, port)):
                return port
