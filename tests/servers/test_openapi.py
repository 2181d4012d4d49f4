"""The OpenAPI document: valid, complete, readable without the internet, and true."""

import asyncio
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.app import create_app
from monitor.settings import Settings
from tests.support.fixtures import replica_fixture
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token

SECONDS = 10  # for schemathesis to try to prove the document wrong
CONFIGURATION = Path(__file__).parent / "schemathesis.toml"

# It may revoke the tokens of any name, those that other modules use among them.
revoking = replica_fixture("module", JWT_SECRET=SECRET, TEST_EVENTS="on")


@pytest.fixture(scope="module")
async def document() -> dict[str, Any]:
    transport = httpx.ASGITransport(create_app(Settings(), {}))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        content: dict[str, Any] = (await client.get("/api/v1/openapi.json")).json()
        return content


async def test_it_says_which_credential_a_call_needs(
    document: dict[str, Any], guarded_school: Replica
) -> None:
    async with client(guarded_school.url, token("hanako")) as api:
        guarded = (await api.get("/openapi.json")).json()["paths"]
    said: dict[str, Any] = {
        f"{method} {path}": each.get("security")
        for path, item in guarded.items()
        for method, each in item.items()
    }
    assert said["post /api/v1/events"] == [{"token": []}, {"key": []}]
    assert said["get /api/v1/classes"] == [{"token": []}]
    assert said["get /api/v1/health"] == [{"token": []}, {"key": []}, {}]
    operations = [each for item in document["paths"].values() for each in item.values()]
    assert not any("security" in each for each in operations)


class Links(HTMLParser):
    """The URLs that a page loads, and its inline scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.urls += [each for each in (attributes.get("src"), attributes.get("href")) if each]
        if tag == "style" or (tag == "script" and "src" not in attributes):
            self.inline.append(tag)
        self.inline += [name for name in attributes if name.startswith("on") or name == "style"]


async def test_the_docs_load_nothing_from_elsewhere(shared_replica: Replica) -> None:
    async with httpx.AsyncClient(base_url=shared_replica.url) as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        links = Links()
        links.feed(page.text)
        assert links.inline == []
        assert len(links.urls) == 4
        for link in links.urls:
            assert "//" not in link
            file = await client.get(f"/{link}")
            assert file.status_code == 200
            assert file.headers["X-Content-Type-Options"] == "nosniff"
        start = (await client.get("/docs/start.js")).text
        assert '"api/v1/openapi.json"' in start
        assert "location.hash" in start  # of the token, which no proxy sees there
        assert (await client.get("/docs/index.html")).status_code == 404


async def faults(replica: Replica, folder: Path, *options: str) -> str:
    """The faults that schemathesis finds in the document; empty if there are none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION),
        "run", f"{replica.url}/api/v1/openapi.json", "--max-time", str(SECONDS),
        "--max-examples", "10", "--continue-on-failure", "--no-shrink", "--no-color", *options,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await process.communicate())[0].decode()
    assert "Stateful" in output, output
    return "" if process.returncode == 0 else output


async def test_schemathesis_finds_no_fault(school: Replica, tmp_path: Path) -> None:
    assert not await faults(school, tmp_path)
    assert "Internal Server Error" not in school.output()


async def test_schemathesis_finds_no_fault_whoever_calls(revoking: Replica, tmp_path: Path) -> None:
    """Nor that a call that needs a credential does without."""
    people = [token("root", "admin"), token("sensei", "instructor"), token("hanako")]
    headers = [f"Authorization: Bearer {each}" for each in people]
    reports = await asyncio.gather(
        *(faults(revoking, tmp_path, "--header", header) for header in headers)
    )
    assert not any(reports), "".join(reports)
    assert "Internal Server Error" not in revoking.output()
