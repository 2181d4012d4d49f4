"""The page can be installed, also below a path."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page

from tests.support.browser import open_tab
from tests.support.postgres import Address, environment_of
from tests.support.proxies import NginxProxy
from tests.support.replicas import Replica
from tests.support.servers import free_port


async def manifest_of(page: Page) -> dict[str, Any]:
    """What Chromium makes of the page's manifest: its address, its errors, the manifest itself."""
    session = await page.context.new_cdp_session(page)
    found: dict[str, Any] = await session.send("Page.getAppManifest")
    return found


async def installs_at(page: Page, url: str) -> None:
    """Chromium finds nothing wrong with the manifest, and would open `url`, with all icons."""
    found = await manifest_of(page)
    assert found["url"] == f"{url}/page/manifest.webmanifest"
    assert found["errors"] == []
    assert found["manifest"]["startUrl"] == f"{url}/"
    assert found["manifest"]["scope"] == f"{url}/"
    session = await page.context.new_cdp_session(page)
    installable = await session.send("Page.getInstallabilityErrors")
    # What a test's window is, and not what the page lacks.
    errors = {each["errorId"] for each in installable["installabilityErrors"]} - {"in-incognito"}
    assert errors == set()
    sizes = {}
    for icon in json.loads(found["data"])["icons"]:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{url}/page/{icon['src']}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == icon["type"]
        if icon["type"] == "image/png":
            width = int.from_bytes(answer.content[16:20], "big")
            sizes[icon.get("purpose", "any"), width] = icon["sizes"]
    expected = {("any", 192), ("any", 512), ("maskable", 512)}
    assert sizes == {(purpose, width): f"{width}x{width}" for purpose, width in expected}


async def test_the_page_can_be_installed(school: Replica, browser: Browser) -> None:
    async with open_tab(browser, school.url) as page:
        await installs_at(page, school.url)
    async with httpx.AsyncClient() as client:
        manifest = await client.get(f"{school.url}/page/manifest.webmanifest")
        assert manifest.headers["Content-Type"] == "application/manifest+json"
        assert manifest.headers["Cache-Control"] == "no-cache"
        kept = {"If-None-Match": manifest.headers["ETag"]}
        again = await client.get(f"{school.url}/page/manifest.webmanifest", headers=kept)
        assert again.status_code == 304
        touch = await client.get(f"{school.url}/page/icon-apple-180.png")
        assert touch.headers["Content-Type"] == "image/png"


@pytest.mark.needs("nginx")
async def test_the_page_can_be_installed_below_a_path(
    postgres: Address, tmp_path: Path, browser: Browser
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/monitor"
    settings = {"PUBLIC_URL": url, "TRUSTED_PROXIES": "127.0.0.1"}
    with (
        Replica(environment_of(postgres, tmp_path) | settings) as replica,
        NginxProxy(tmp_path, port, replica.port),
    ):
        async with open_tab(browser, f"{url}/") as page:
            await installs_at(page, url)
