"""Copies of a notebook: what counts as it and why, merging, keeping apart, undoing."""

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.page import HOSTILE, view_url, violations
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import create, create_assignment, create_class_of
from tests.support.replicas import Replica


async def lesson(
    school: Replica, api: httpx.AsyncClient, renamed: str = "s001.ipynb"
) -> tuple[str, list[str]]:
    """The address of a handed-out notebook, with a copy and a renamed one; the three students."""
    class_id, users, _ = await create_class_of(api, "hanako", "taro", "jiro")
    folder = users[0]
    notebook = await create(api, "/notebooks", class_id=class_id, path=f"{folder}/lesson.ipynb")
    await create_assignment(api, class_id=class_id, notebook_id=notebook["id"])
    paths = (f"{folder}/lesson.ipynb", f"{folder}/lesson - コピー.ipynb", f"{folder}/{renamed}")
    for user, path in zip(users, paths, strict=True):
        for index, cell in enumerate(("a", "b")):
            place = {"notebookPath": path, "cellId": cell, "cellIndex": index}
            await post_as(school, user, "cell_executed", **place)
    return view_url(school, class_id, f"notebooks/{notebook['id']}"), users


async def expect_runs(page: Page, users: list[str], *signs: str) -> None:
    for user, sign in zip(users, signs, strict=True):
        row = page.locator(".heatmap tbody tr").filter(has_text=user)
        await expect(row.locator(".heat").first).to_contain_text(sign)


async def test_a_teacher_merges_keeps_apart_and_undoes(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    url, users = await lesson(school, api)
    async with open_tab(browser, url) as page:
        await expect_runs(page, users, "✓", "✓", "·")
        fold = page.locator(".copies")
        summary = fold.locator("summary")
        await expect(summary).to_contain_text("1 other notebook counts as this one")
        await expect(summary).to_contain_text("1 more may be a copy")
        await summary.click()
        copy = fold.get_by_role("listitem").filter(has_text="コピー")
        renamed = fold.get_by_role("listitem").filter(has_text="s001.ipynb")
        await expect(copy).to_contain_text("a copy: 2 of 2 cells are the same")
        await expect(copy).to_contain_text(users[1])
        await expect(renamed).to_contain_text("2 of 2 cells are the same")
        await renamed.get_by_role("button").click()
        await expect(renamed).to_contain_text("merged by a teacher")
        await expect_runs(page, users, "✓", "✓", "✓")
        await copy.get_by_role("button").click()
        await expect(copy).to_contain_text("kept apart by a teacher")
        await expect_runs(page, users, "✓", "·", "✓")
        for line in (renamed, copy):
            await line.get_by_role("button", name="Undo").click()
        await expect(summary).to_contain_text("1 other notebook counts as this one")
        await expect_runs(page, users, "✓", "✓", "·")


async def test_paths_get_in_as_text_only(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    name = HOSTILE.replace("/", "-")
    url, _ = await lesson(school, api, renamed=name)
    async with open_tab(browser, url) as page:
        await page.locator(".copies summary").click()
        await expect(page.locator(".copies").get_by_text(name)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
async def test_axe_finds_nothing(
    school: Replica, api: httpx.AsyncClient, browser: Browser, scheme: str, locale: str
) -> None:
    url, _ = await lesson(school, api)
    async with open_tab(browser, url, color_scheme=scheme, locale=locale) as page:
        await page.locator(".copies summary").click()
        await expect(page.locator(".copies").get_by_role("button")).to_have_count(2)
        assert await violations(page) == []
