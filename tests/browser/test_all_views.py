"""What holds in every view: hostile text stays text, and axe-core finds nothing."""

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.browser.page import HOSTILE, VIEWS, view_url, violations, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create, create_assignment, create_class_of
from tests.support.replicas import Replica


async def test_names_code_and_output_stay_text(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, HOSTILE)
    texts = {"userName": HOSTILE, "teamName": HOSTILE, "notebookPath": HOSTILE, "code": HOSTILE}
    failed = {"hasError": True, "errorMessage": HOSTILE, "result": HOSTILE}
    await post_as(school, user, "cell_executed", **texts, **failed)
    await post_as(school, user, "help", **texts)
    source = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": HOSTILE}
    content = {"cells": [source], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    assignment = (await create_assignment(api, class_id=class_id, title=HOSTILE))["id"]
    submission = await create(
        api, "/submissions", assignment_id=assignment, student_id=student, notebook_content=content
    )
    places = (*VIEWS, f"student/{student}", f"submission/{submission['id']}")
    for view in places:
        async with open_tab(browser, view_url(school, class_id, view)) as page:
            await wait_live(page)
            if view != "activity":
                await expect(page.locator("#view")).to_contain_text("<script>alert(2)</script>")
            assert await page.locator("img, main script").count() == 0


@pytest.mark.parametrize(
    "colours",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"forced_colors": "active"}],
    ids=lambda colours: "-".join(colours.values()),
)
async def test_axe_finds_nothing(
    school: Replica, api: httpx.AsyncClient, browser: Browser, colours: dict[str, str]
) -> None:
    class_id, (user, other), (student, _) = await create_class_of(api, "hanako", "taro")
    await post_as(school, user, "cell_executed", hasError=True, errorMessage="KeyError: 'x'")
    await post_as(school, user, "help")
    await post_as(school, other, "cell_executed")
    assignment = (await create_assignment(api, class_id=class_id))["id"]
    submission = await create(api, "/submissions", assignment_id=assignment, student_id=student)
    places = (*VIEWS, f"student/{student}", f"submission/{submission['id']}")
    url = view_url(school, class_id)
    async with open_tab(browser, url, **colours) as page:
        for view in places:
            await page.goto(view_url(school, class_id, view))
            await wait_live(page)
            await page.wait_for_load_state("networkidle")
            assert await violations(page) == [], view
