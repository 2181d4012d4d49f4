"""The teacher's page as the tests see it."""

from datetime import timedelta

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, Route, expect

from tests.support.replicas import Replica

VIEWS = ("lesson", "students", "help", "errors", "notebooks", "activity", "manage")
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>'\"&amp;"
# Has the server's answers dated later, once more for each time that it is added to a page.
LATER = """{{
    const {{ get }} = Headers.prototype;
    Headers.prototype.get = function (name) {{
        const value = get.call(this, name);
        if (name !== "Date") return value;
        return new Date(Date.parse(value) + {ms}).toUTCString();
    }};
}}"""


def view_url(replica: Replica, class_id: int, view: str = "students", query: str = "") -> str:
    return f"{replica.url}/{query}#/class/{class_id}/{view}"


def tile(page: Page, name: str) -> Locator:
    return page.locator(".tile").filter(has_text=name)


def seat(page: Page, name: str) -> Locator:
    return page.locator(".seats .seat").filter(has_text=name)


def requests_of(page: Page, path: str) -> list[str]:
    """The methods of the page's requests from now on whose URLs have this in them; it grows."""
    methods: list[str] = []
    page.on(
        "request", lambda request: methods.append(request.method) if path in request.url else None
    )
    return methods


async def wait_live(page: Page) -> None:
    """Until the page receives messages."""
    await expect(page.locator(".connection")).to_have_attribute("data-state", "live")


async def pass_time(page: Page, time: timedelta) -> None:
    """Loads the page again, so much later by the server's clock, by which the page goes."""
    await page.add_init_script(LATER.format(ms=time // timedelta(milliseconds=1)))
    await page.reload()


async def hold(page: Page, pattern: str) -> list[Route]:
    """The page's requests for such an address from now on, which wait for an answer."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    await page.route(pattern, keep)
    return held


async def violations(page: Page) -> list[str]:
    """axe-core's violations of whatever impact: each rule, and where it is broken."""
    found = (await Axe().run(page)).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]
