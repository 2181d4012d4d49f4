"""The tiles of the class, live."""

import re

import httpx
from playwright.async_api import Browser, Page, expect

from tests.browser.page import requests_of, tile, view_url, wait_live
from tests.support.browser import open_tab
from tests.support.events import post_as
from tests.support.lms import act_on_help, create_class_of
from tests.support.network import cuttable_link
from tests.support.replicas import Replica


async def test_tile_follows_events(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id)) as page:
        hanako = tile(page, user)
        await expect(hanako).to_have_attribute("data-state", "idle")
        await wait_live(page)
        fetches = requests_of(page, "/now?")
        await post_as(school, user, "cell_executed", cellIndex=4)
        await expect(hanako).to_have_attribute("data-state", "active")
        await expect(hanako).to_contain_text("lesson.ipynb · cell 5")
        await expect(hanako).to_contain_text("1 run")
        for state in ("error", "error", "stuck"):
            await post_as(school, user, "cell_executed", hasError=True)
            await expect(hanako).to_have_attribute("data-state", state)
        await post_as(school, user, "help")
        await expect(hanako).to_have_attribute("data-state", "help")
        await expect(hanako).not_to_have_class(re.compile("is-taken"))
        await act_on_help(api, class_id, student, "take", "Sato")
        await expect(hanako).to_have_class(re.compile("is-taken"))
        await expect(hanako).to_contain_text("Sato is helping")
        await post_as(school, user, "help_stop")
        await expect(hanako).to_have_attribute("data-state", "stuck")
        await post_as(school, user, "cell_executed")
        await expect(hanako).to_have_attribute("data-state", "active")
        assert fetches == []


async def test_a_tile_takes_a_new_name_and_team_at_once(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        fetches = requests_of(page, "/now?")
        for name, team in (("山田 花子", "チームA"), ("佐藤 花子", "チームB")):
            await post_as(school, user, "cell_executed", userName=name, teamName=team)
            await expect(tile(page, name)).to_contain_text(team)
        assert fetches == []


async def test_broken_connection_recovers_without_a_gap(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two), _ = await create_class_of(api, "one", "two")
    async with cuttable_link(school.port) as network:
        url = f"http://127.0.0.1:{network.port}/#/class/{class_id}/students"
        async with open_tab(browser, url) as page:
            await wait_live(page)
            await post_as(school, one, "cell_executed")
            await expect(tile(page, one)).to_contain_text("1 run")
            fetches = requests_of(page, "/now?")
            await network.cut()
            await expect(page.locator(".connection")).not_to_have_attribute("data-state", "live")
            for _ in range(3):
                await post_as(school, two, "cell_executed", hasError=True)
            await network.restore()
            await wait_live(page)
            await expect(tile(page, two)).to_have_attribute("data-state", "stuck")
            await expect(tile(page, two)).to_contain_text("3 errors in a row")
            assert fetches == []


async def test_class_is_fetched_again_after_a_restart(replica: Replica, browser: Browser) -> None:
    async with httpx.AsyncClient(base_url=f"{replica.url}/api/v1") as api:
        class_id, (user,), _ = await create_class_of(api, "hanako")
    async with open_tab(browser, view_url(replica, class_id)) as page:
        await wait_live(page)
        await post_as(replica, user, "cell_executed")
        await expect(tile(page, user)).to_contain_text("1 run")
        replica.stop()
        await expect(page.locator(".connection")).not_to_have_attribute("data-state", "live")
        replica.start()
        await post_as(replica, user, "cell_executed")
        await expect(tile(page, user)).to_contain_text("2 runs")
        await wait_live(page)


async def test_student_is_found_by_keyboard(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user, _), _ = await create_class_of(api, "hanako", "taro")
    async with open_tab(browser, view_url(school, class_id)) as page:
        await wait_live(page)
        await page.get_by_label("Search").focus()
        await page.keyboard.type(user)
        await expect(page.locator(".tile")).to_have_count(1)
        for _ in range(4):
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator(".rail-student h2")).to_have_text(user)


async def test_tiles_are_filtered_sorted_and_grouped(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two, three), _ = await create_class_of(api, "one", "two", "three")
    for user, team in ((one, "班B"), (two, "班A"), (three, "班A")):
        await post_as(school, user, "cell_executed", teamName=team)
    await post_as(school, three, "cell_executed", hasError=True)
    async with open_tab(browser, view_url(school, class_id)) as page:
        names = page.locator(".tile strong")
        sections = page.locator("section:has(.tiles)")
        await expect(names).to_have_text([three, one, two])
        await page.get_by_label("Sort by").select_option("Name")
        await expect(names).to_have_text(sorted([one, two, three]))
        await page.get_by_label("By team").check()
        await expect(sections.locator("h2")).to_have_text(["班A", "班B"])
        await expect(sections.first.locator(".tile")).to_have_count(2)
        await page.get_by_label("Show").select_option("Error")
        await expect(names).to_have_text([three])
        await page.get_by_label("Show").select_option("Everyone")
        await page.get_by_label("Search").fill("班b")
        await expect(names).to_have_text([one])
        await page.get_by_label("Search").fill("nobody at all")
        await expect(page.locator("#view")).to_contain_text("No students match.")


async def test_the_address_keeps_what_the_list_shows(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (one, two, three), _ = await create_class_of(api, "one", "two", "three")
    for user, team in ((one, "班B"), (two, "班A"), (three, "班A")):
        await post_as(school, user, "cell_executed", teamName=team, hasError=user != one)
    async with open_tab(browser, view_url(school, class_id)) as page:
        await page.get_by_label("Search").fill("班a")
        await page.get_by_label("Show").select_option("Error")
        await page.get_by_label("Sort by").select_option("Name")
        await page.get_by_label("By team").check()
        await shows_the_same(page, sorted([two, three]))
        await page.reload()
        await shows_the_same(page, sorted([two, three]))
        shared = page.url
        async with open_tab(browser, shared) as other:
            await shows_the_same(other, sorted([two, three]))
        await page.get_by_label("Search").fill("")
        await page.get_by_label("Show").select_option("Everyone")
        await page.get_by_label("Sort by").select_option("need")
        await page.get_by_label("By team").uncheck()
        assert "?" not in page.url
        async with open_tab(browser, f"{page.url}?state=none&sort=none&by=none") as other:
            await expect(other.locator(".tile")).to_have_count(3)
            await expect(other.get_by_label("Show")).to_have_value("")
            await expect(other.get_by_label("Sort by")).to_have_value("need")


async def shows_the_same(page: Page, names: list[str]) -> None:
    await expect(page.locator(".tile strong")).to_have_text(names)
    await expect(page.locator("section:has(.tiles) h2")).to_have_text(["班A"])
    await expect(page.get_by_label("Search")).to_have_value("班a")
    await expect(page.get_by_label("Show")).to_have_value("error")
    await expect(page.get_by_label("Sort by")).to_have_value("name")
    await expect(page.get_by_label("By team")).to_be_checked()
