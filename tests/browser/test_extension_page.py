"""JupyterLab's page, at another origin, makes the extension's calls and no others."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.support.browser import open_tab
from tests.support.elsewhere import page_elsewhere
from tests.support.events import event
from tests.support.lms import create, create_assignment, create_class_of, notebook
from tests.support.postgres import Address, environment_of
from tests.support.replicas import Replica
from tests.support.tokens import client, token
from tests.support.waiting import eventually

CALL = """
async ([url, method, body, token, credentials]) => {
    const headers = {}
    if (body) headers["Content-Type"] = "application/json"
    if (token) headers.Authorization = `Bearer ${token}`
    const request = {method, headers, credentials}
    if (body) request.body = JSON.stringify(body)
    try {
        const answer = await fetch(url, request)
        return [answer.status, await answer.json()]
    } catch (error) {
        return [0, String(error)]
    }
}
"""
OPEN_SOCKET = """
([url, protocols]) => new Promise((resolve) => {
    const socket = new WebSocket(url, protocols)
    socket.onmessage = (message) => resolve(JSON.parse(message.data).event)
    socket.onclose = () => resolve("closed")
})
"""


class JupyterLab:
    """The page, which calls the server of `replica`."""

    def __init__(self, page: Page, replica: Replica, credential: str = "") -> None:
        self._page = page
        self._replica = replica
        self._credential = credential

    async def call(
        self, method: str, path: str, body: Any = None, *, credentials: str = "omit"
    ) -> tuple[int, Any]:
        """The status and the answer; 0 where the browser keeps it from the page."""
        url = self._replica.url + path
        arguments = [url, method, body, self._credential, credentials]
        status, answer = await self._page.evaluate(CALL, arguments)
        return status, answer

    async def open_socket(self, channel: str) -> str:
        """The first message's event, or `closed`."""
        offered = ["cell-monitor"]
        if self._credential:
            offered.append(f"bearer.{self._credential}")
        url = f"ws://127.0.0.1:{self._replica.port}/ws?channels={channel}"
        event: str = await self._page.evaluate(OPEN_SOCKET, [url, offered])
        return event

    async def work(self, class_id: int, assignment: int, user: str) -> None:
        """What a student does in JupyterLab."""
        status, answer = await self.call("POST", "/api/v1/events", [event(userId=user)])
        assert (status, answer["stored"]) == (202, 1)
        status, listed = await self.call("GET", f"/api/v1/assignments?class_id={class_id}")
        assert (status, [each["id"] for each in listed]) == (200, [assignment])
        handed_in = {
            "assignment_id": assignment,
            "user_id": user,
            "notebook_content": notebook("x"),
        }
        status, submission = await self.call("POST", "/api/v1/submissions", handed_in)
        assert status == 201, submission
        status, listed = await self.call("GET", f"/api/v1/submissions?assignment_id={assignment}")
        assert (status, [each["id"] for each in listed]) == (200, [submission["id"]])
        for path in ("/health", "/api/v1/health"):
            status, answer = await self.call("GET", path)
            assert (status, answer["status"]) == (200, "ok")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with page_elsewhere() as origin:
        yield origin


async def test_a_page_of_another_origin_does_a_students_work(
    guarded_school: Replica, browser: Browser, elsewhere: str
) -> None:
    async with client(guarded_school.url, token("root", "admin")) as admin:
        class_id, (user,), _ = await create_class_of(admin, "hanako")
        assignment = await create_assignment(admin, class_id=class_id)
    async with open_tab(browser, elsewhere) as page:
        lab = JupyterLab(page, guarded_school, token(user))
        await lab.work(class_id, assignment["id"], user)
        assert await lab.open_socket(f"notifications:{user}") == "subscribed"
        for method, path in (
            ("GET", "/api/v1/classes"),
            ("GET", f"/api/v1/assignments/{assignment['id']}"),
            ("DELETE", f"/api/v1/assignments/{assignment['id']}"),
            ("PUT", "/api/v1/submissions/1"),
            ("GET", "/api/v1/me"),
        ):
            assert (await lab.call(method, path))[0] == 0, path


async def test_a_refused_page_is_one_line_that_says_which_setting(
    guarded_school: Replica, browser: Browser, elsewhere: str
) -> None:
    async with open_tab(browser, elsewhere) as page:
        # Without a header of its own a call needs no preflight: the server refuses it.
        assert (await JupyterLab(page, guarded_school).call("GET", "/api/v1/classes"))[0] == 0

    def lines() -> list[str]:
        return [line for line in guarded_school.output().splitlines() if elsewhere in line]

    await eventually(lambda: len(lines()) == 1)
    assert "is not among BACKEND_CORS_ORIGINS" in lines()[0]


async def test_a_page_of_another_origin_needs_a_credential_in_its_calls(
    guarded_school: Replica, browser: Browser, elsewhere: str
) -> None:
    async with open_tab(browser, elsewhere) as page:
        stranger = JupyterLab(page, guarded_school)
        status, answer = await stranger.call("GET", "/api/v1/assignments")
        assert (status, answer["detail"][:4]) == (401, "Send")
        assert await stranger.open_socket("broadcast") == "closed"
        hanako = JupyterLab(page, guarded_school, token("hanako"))
        assert (await hanako.call("GET", "/api/v1/assignments"))[0] == 200
        with_cookies = await hanako.call("GET", "/api/v1/assignments", credentials="include")
        assert with_cookies[0] == 0  # answers to calls with cookies are for no page


async def test_an_open_server_does_the_extensions_calls(
    shared_replica: Replica, browser: Browser, elsewhere: str
) -> None:
    async with client(shared_replica.url, None) as api:
        class_id, (user,), _ = await create_class_of(api, "hanako")
        assignment = await create_assignment(api, class_id=class_id)
    async with open_tab(browser, elsewhere) as page:
        lab = JupyterLab(page, shared_replica)
        await lab.work(class_id, assignment["id"], user)
        assert (await lab.call("GET", "/api/v1/classes"))[0] == 0
        assert await lab.open_socket("broadcast") == "closed"


async def test_the_setting_names_the_pages_that_call(
    postgres: Address, tmp_path: Any, browser: Browser, elsewhere: str
) -> None:
    settings = {"BACKEND_CORS_ORIGINS": elsewhere}
    with (
        Replica(environment_of(postgres, tmp_path) | settings) as replica,
        page_elsewhere() as evil,
    ):
        async with client(replica.url, None) as api:
            await create(api, "/classes", name="A", class_code="A")
        async with open_tab(browser, elsewhere) as page:
            lab = JupyterLab(page, replica)
            assert (await lab.call("GET", "/api/v1/classes"))[0] == 200
            assert (await lab.call("GET", "/api/v1/assignments"))[0] == 200
            assert await lab.open_socket("broadcast") == "subscribed"
        async with open_tab(browser, evil) as page:
            other = JupyterLab(page, replica)
            assert (await other.call("GET", "/api/v1/classes"))[0] == 0
            assert (await other.call("GET", "/api/v1/assignments"))[0] == 0
