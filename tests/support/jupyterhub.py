"""A JupyterHub whose service is a server, by the configuration in deploy/."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx

from tests.support.paths import ROOT
from tests.support.programs import find_hub_proxy
from tests.support.servers import LOCALHOST, free_port

PASSWORD = "a password of the tests"
ADMINISTRATOR, ADMINISTRATORS_PASSWORD = (
    "root",
    "a longer password of the tests, for administrators",
)
START_SECONDS = 90.0
STOP_SECONDS = 30.0
SERVICE = "/services/cell-monitor"
SERVICE_FILE = ROOT / "deploy" / "jupyterhub" / "service.py"

# Everybody has an account, by one password; an administrator by another.
CONFIGURATION = """
load_subconfig({deployed!r})
service = c.JupyterHub.services[0]
service["url"] = {url!r}
{managed}
c.JupyterHub.bind_url = {bind!r}
c.JupyterHub.hub_bind_url = {hub!r}
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.cookie_secret_file = {directory!r} + "/secret"
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = {password!r}
c.SharedPasswordAuthenticator.admin_password = {administrators_password!r}
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{{administrator!r}}}
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = {proxy_api!r}
c.ConfigurableHTTPProxy.pid_file = {directory!r} + "/proxy.pid"
"""

# What it starts itself.
MANAGED = 'service["command"] = {command!r}; service["environment"] |= {environment!r}'


class JupyterHub:
    """One on a port of its own, configured by `deployed`.

    It starts its service with the settings `environment`, or, without, expects it at
    `service_port`.
    """

    def __init__(
        self,
        directory: Path,
        environment: dict[str, str] | None = None,
        deployed: Path = SERVICE_FILE,
    ) -> None:
        self.port = free_port()
        self.service_port = free_port()
        self.url = f"http://{LOCALHOST}:{self.port}"
        self._hub = f"http://{LOCALHOST}:{free_port()}"
        self.api_url = f"{self._hub}/hub/api"
        self._environment = environment
        self._deployed = deployed
        self._directory = directory
        self._log = directory / "jupyterhub.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        configuration = self._directory / "jupyterhub_config.py"
        configuration.write_text(self._configuration())
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(configuration)],
                cwd=self._directory,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise AssertionError(self.output())
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it in order: it ends its proxy and its service."""
        if self._process is not None:
            with self._process as process:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
                process.kill()

    def output(self) -> str:
        """What it, its proxy and its service have said."""
        return self._log.read_text(errors="replace")

    def _serves(self) -> bool:
        try:
            return httpx.get(f"{self.url}{SERVICE}/health/live").status_code == 200
        except httpx.TransportError:
            return False

    def _configuration(self) -> str:
        return CONFIGURATION.format(
            deployed=str(self._deployed),
            url=f"http://{LOCALHOST}:{self.service_port}",
            managed=self._managed(),
            bind=self.url,
            hub=self._hub,
            proxy_api=f"http://{LOCALHOST}:{free_port()}",
            directory=str(self._directory),
            password=PASSWORD,
            administrator=ADMINISTRATOR,
            administrators_password=ADMINISTRATORS_PASSWORD,
            proxy=find_hub_proxy(),
        )

    def _managed(self) -> str:
        if self._environment is None:
            return ""
        environment = {**self._environment, "PORT": str(self.service_port)}
        command = [sys.executable, str(ROOT / "run.py")]
        return MANAGED.format(command=command, environment=environment)
