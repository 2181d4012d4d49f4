"""A submission, to read."""

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import HOSTILE, view_url
from tests.support.browser import open_tab
from tests.support.lms import create, create_assignment, create_class_of
from tests.support.replicas import Replica


async def test_submitted_notebook_is_rendered_safely(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, _, (student,) = await create_class_of(api, "hanako")
    sources = [
        "# 見出し\n\n**太字** [危険](javascript:alert(1)) ![絵](https://evil.example/x.png)",
        f"{HOSTILE}\n\n[text](data:text/html;base64,PHNjcmlwdD4=)",
    ]
    cells = [
        {"cell_type": "markdown", "id": f"c{n}", "metadata": {}, "source": source}
        for n, source in enumerate(sources)
    ]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    assignment = (await create_assignment(api, class_id=class_id))["id"]
    submission = await create(
        api, "/submissions", assignment_id=assignment, student_id=student, notebook_content=content
    )
    async with open_tab(
        browser, view_url(school, class_id, f"submission/{submission['id']}")
    ) as page:
        shown = page.locator(".markdown")
        await expect(shown.first.get_by_role("heading", name="見出し")).to_be_visible()
        await expect(shown.first.locator("strong")).to_have_text("太字")
        await expect(shown.last).to_contain_text("<script>alert(2)</script>")
        assert await shown.locator("img, script, [onerror], a[href]").count() == 0
        await page.get_by_text("Source").first.click()
        await expect(page.locator(".notebook pre").first).to_contain_text("**太字**")
