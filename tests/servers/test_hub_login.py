"""As a service of a real JupyterHub, by the configuration in deploy/: people sign in at the Hub.

Once by the file for a JupyterHub's configuration, once by the plugin for The Littlest JupyterHub,
and once by the values for Zero to JupyterHub, where the Hub doesn't start the server.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
import yaml
from websockets.asyncio.client import connect

from tests.support.jupyterhub import (
    ADMINISTRATOR,
    ADMINISTRATORS_PASSWORD,
    PASSWORD,
    SERVICE,
    SERVICE_FILE,
    JupyterHub,
)
from tests.support.paths import ROOT
from tests.support.postgres import Address, environment_of, fetch, temporary_database
from tests.support.replicas import Replica
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("JupyterHub's proxy")

PAGE = {"X-Cell-Monitor": "page"}


@pytest.fixture(scope="module")
async def database(postgres_server: Address) -> AsyncIterator[Address]:
    async with temporary_database(postgres_server) as address:
        yield address


# As The Littlest JupyterHub's configuration begins, and then asks its plugins. There is no user of
# the system's for the service on the machine of the tests.
LITTLEST = """
import sys
from pathlib import Path

sys.path.insert(0, {plugin!r})
import pluggy
import tljh_cell_monitor

c = get_config()
c.JupyterHub.services = []
tljh_cell_monitor.TLJH = Path({directory!r})
plugins = pluggy.PluginManager("tljh")
plugins.register(tljh_cell_monitor)
plugins.hook.tljh_custom_jupyterhub_config(c=c)
c.JupyterHub.services[0].pop("user", None)
"""


def littlest(directory: Path) -> Path:
    """A file of configuration that does what that Hub does, with the settings in deploy/."""
    settings = directory / "config" / "cell-monitor.toml"
    settings.parent.mkdir()
    settings.write_text((ROOT / "deploy" / "tljh" / "cell-monitor.toml").read_text("utf-8"))
    path = directory / "littlest.py"
    plugin = str(ROOT / "deploy" / "tljh")
    path.write_text(LITTLEST.format(plugin=plugin, directory=str(directory)))
    return path


# What the chart's own configuration does with its values. The token is in a secret of the chart's.
CHART = """
import yaml

with open({values!r}) as file:
    hub = yaml.safe_load(file)["hub"]
c = get_config()
c.JupyterHub.services = [
    {{"name": name, **service, "api_token": {token!r}}} for name, service in hub["services"].items()
]
c.JupyterHub.load_roles = [{{"name": name, **role}} for name, role in hub["loadRoles"].items()]
c.JupyterHub.update(hub["config"]["JupyterHub"])
"""
TOKEN = "a secret that Hub and server share"


@contextmanager
def apart(directory: Path, environment: dict[str, str]) -> Iterator[JupyterHub]:
    """A Hub as the chart configures it, and a server with the settings of the manifests."""
    place = ROOT / "deploy" / "jupyterhub"
    path = directory / "chart.py"
    path.write_text(CHART.format(values=str(place / "z2jh-values.yaml"), token=TOKEN))
    hub = JupyterHub(directory, deployed=path)
    settings, _ = yaml.safe_load_all((place / "kubernetes.yaml").read_text())
    here = {
        "JUPYTERHUB_API_URL": hub.api_url,
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "PUBLIC_URL": f"{hub.url}{SERVICE}",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    with Replica(environment | settings["data"] | here, port=hub.service_port), hub:
        yield hub


@pytest.fixture(scope="module", params=["service.py", "the plugin", "the chart"])
def hub(
    request: pytest.FixtureRequest, database: Address, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterHub]:
    directory = tmp_path_factory.mktemp("hub")
    environment = environment_of(database, directory / "data")
    started: AbstractContextManager[JupyterHub]
    if request.param == "the chart":
        started = apart(directory, environment)
    else:
        deployed = SERVICE_FILE if request.param == "service.py" else littlest(directory)
        started = JupyterHub(directory, environment, deployed)
    with started as hub:
        yield hub


@asynccontextmanager
async def browser(hub: JupyterHub) -> AsyncIterator[httpx.AsyncClient]:
    headers = PAGE | {"Origin": hub.url}
    async with httpx.AsyncClient(
        base_url=hub.url, headers=headers, follow_redirects=True, timeout=30
    ) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, name: str) -> httpx.Response:
    """From the page to the Hub's form, and back."""
    form = await client.get(f"{SERVICE}/login", params={"next": "#/classes"})
    assert form.status_code == 200, form.text
    action = re.search(r'action="([^"]+)"', form.text)
    assert action, form.text
    xsrf = re.search(r'name="_xsrf" value="([^"]+)"', form.text)
    password = ADMINISTRATORS_PASSWORD if name == ADMINISTRATOR else PASSWORD
    fields = {"username": name, "password": password, "_xsrf": xsrf[1] if xsrf else ""}
    url = action[1].replace("&amp;", "&").replace("&#x3D;", "=")
    return await client.post(url, data=fields)


async def status(client: httpx.AsyncClient, path: str) -> int:
    return (await client.get(f"{SERVICE}/api/v1{path}")).status_code


async def test_people_sign_in_at_the_hub_and_have_its_roles(hub: JupyterHub) -> None:
    for name, role in ((ADMINISTRATOR, "admin"), ("sensei", "instructor"), ("hanako", "student")):
        async with browser(hub) as client:
            assert await status(client, "/classes") == 401
            page = await sign_in(client, name)
            assert str(page.url) == f"{hub.url}{SERVICE}/#/classes"
            shown = (await client.get(f"{SERVICE}/login/session")).json()
            assert shown == {"user_id": name, "name": name, "role": role}


async def test_a_teacher_works_below_the_hubs_address(hub: JupyterHub) -> None:
    async with browser(hub) as client:
        await sign_in(client, "sensei")
        url = f"{SERVICE}/api/v1/classes"
        body = {"name": "A", "class_code": f"at port {hub.port}"}
        assert (
            await client.post(url, json=body, headers={"X-Cell-Monitor": ""})
        ).status_code == 403
        assert (await client.post(url, json=body)).status_code == 201
        assert await status(client, "/audit") == 403
        cookies = "; ".join(f"{each.name}={each.value}" for each in client.cookies.jar)
        live = f"{hub.url.replace('http', 'ws', 1)}{SERVICE}/ws"
        headers = {"Cookie": cookies, "Origin": hub.url}
        async with connect(live, proxy=None, additional_headers=headers) as socket:
            assert json.loads(await socket.recv())["event"] == "subscribed"


async def test_signing_out_signs_out_at_the_hub(hub: JupyterHub) -> None:
    async with browser(hub) as client:
        await sign_in(client, "sensei")
        out = (await client.post(f"{SERVICE}/logout")).json()["url"]
        assert await status(client, "/classes") == 401
        assert urljoin(hub.url, out) == f"{hub.url}/hub/logout"
        await client.get(out)
        assert "username" in (await client.get(f"{SERVICE}/login")).text  # the Hub's form


async def test_who_signs_out_at_the_hub_has_signed_out_here(
    hub: JupyterHub, database: Address
) -> None:
    async with browser(hub) as client:
        await sign_in(client, "sensei")
        assert await status(client, "/classes") == 200
        await fetch(database, "UPDATE login_sessions SET due_at = now()")
        await client.get("/hub/logout")
        await eventually(partial(status, client, "/classes"), lambda code: code == 401, within=30)
        answer = await client.get(f"{SERVICE}/api/v1/classes")
        assert "login has ended" in answer.json()["detail"]
