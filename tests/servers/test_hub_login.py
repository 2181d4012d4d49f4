"""As a service of a real JupyterHub, by the configuration in deploy/: people sign in at the Hub."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.jupyterhub import (
    ADMINISTRATOR,
    ADMINISTRATORS_PASSWORD,
    PASSWORD,
    SERVICE,
    JupyterHub,
)
from tests.support.postgres import Address, environment_of

pytestmark = pytest.mark.needs("JupyterHub's proxy")

PAGE = {"X-Cell-Monitor": "page"}


@pytest.fixture
def hub(postgres: Address, tmp_path: Path) -> Iterator[JupyterHub]:
    with JupyterHub(tmp_path, environment_of(postgres, tmp_path / "data")) as hub:
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
