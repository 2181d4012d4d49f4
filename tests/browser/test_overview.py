"""All classes of a teacher at a glance."""

import re

from playwright.async_api import Browser, expect

from tests.browser.page import violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import event
from tests.support.lms import create, create_class_of, unique
from tests.support.replicas import Replica
from tests.support.tokens import client, token


async def test_a_teacher_sees_their_classes(guarded_school: Replica, browser: Browser) -> None:
    sensei = unique("sensei")
    teacher = token(sensei, "instructor")
    ids, users = {}, {}
    async with client(guarded_school.url, teacher) as api:
        for name in ("代数", "幾何", "昔の"):
            ids[name], users[name], _ = await create_class_of(api, "one", "two")
            await api.put(f"/classes/{ids[name]}", json={"name": name})
        await api.put(f"/classes/{ids['昔の']}", json={"is_active": False})
        key = (await create(api, "/ingest-keys", name="x", class_id=ids["代数"]))["key"]
        one, two = users["代数"]
        for _ in range(4):
            batch = [event(userId=user, hasError=user == one) for user in (one, two)]
            async with client(guarded_school.url, None) as extension:
                answer = await extension.post("/events", params={"key": key}, json=batch)
                assert answer.status_code == 202, answer.text
    url = f"{guarded_school.url}/#token={teacher}"
    async with open_tab(browser, url) as page:
        rows = page.locator(".overview tbody tr")
        await expect(rows.locator("th")).to_have_text(["代数", "幾何"])
        algebra = rows.filter(has_text="代数").locator("td")
        await expect(algebra).to_have_text(["0", "1", "2", "2", re.compile(r"^\d+ s ago$")])
        geometry = rows.filter(has_text="幾何").locator("td")
        await expect(geometry).to_have_text(["0", "0", "0", "2", "no activity yet"])
        await expect(page.get_by_role("link", name="昔の")).to_be_hidden()
        await page.get_by_text("Ended classes (1)").click()
        await expect(page.get_by_role("link", name="昔の")).to_be_visible()
        assert await violations(page) == []
        await page.get_by_role("link", name="幾何").click()
        await wait_live(page)
        await expect(page.locator(".seats .seat a")).to_have_count(2)
        await page.get_by_label("Class", exact=True).select_option("All classes")
        await expect(rows).to_have_count(2)
        await expect(page.locator(".connection")).to_be_hidden()
