"""As a service of a real JupyterHub: a teacher's browser signs in there and sees tiles."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.page import seat, wait_live
from tests.support.browser import open_tab
from tests.support.events import event
from tests.support.jupyterhub import PASSWORD, SERVICE, JupyterHub
from tests.support.postgres import Address, environment_of
from tests.support.tokens import SECRET, client, token


@pytest.mark.needs("JupyterHub's proxy")
async def test_a_teacher_signs_in_at_the_hub_and_sees_tiles(
    postgres: Address, tmp_path: Path, browser: Browser
) -> None:
    settings = environment_of(postgres, tmp_path / "data") | {"JWT_SECRET": SECRET}
    with JupyterHub(tmp_path, settings) as hub:
        url = hub.url + SERVICE
        async with client(url, token("sensei", "instructor")) as api:
            made = (await api.post("/classes", json={"name": "1-A", "class_code": "1A"})).json()
            body = {"name": "x", "class_id": made["id"]}
            key = (await api.post("/ingest-keys", json=body)).json()["key"]
        async with open_tab(browser, f"{url}/#/class/{made['id']}") as page:
            await page.get_by_role("dialog").get_by_role("link", name="Sign in").click()
            await page.get_by_label("Username").fill("sensei")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
            await expect(page).to_have_url(f"{url}/#/class/{made['id']}")
            await page.get_by_role("button", name="Menu").click()
            await expect(page.get_by_text("Signed in as sensei")).to_be_visible()
            await wait_live(page)
            async with client(url, None) as extension:
                sent = await extension.post("/events", params={"key": key}, json=[event()])
                assert sent.json()["stored"] == 1
            await expect(seat(page, event()["userId"])).to_be_visible()
            await page.get_by_role("button", name="Sign out").click()
            await expect(page).to_have_url(f"{hub.url}/hub/login")
