"""The page behind the load balancer's own TLS, by HTTP/2."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.page import view_url, wait_live
from tests.support.lms import create_class
from tests.support.replicas import Replica
from tests.support.secured import Certificates
from tests.support.servers import HaproxyServer
from tests.support.tokens import client, token

PROTOCOL = "performance.getEntriesByType('navigation')[0].nextHopProtocol"


@pytest.mark.needs("haproxy")
async def test_the_page_is_live_by_http_2(
    guarded_school: Replica, browser: Browser, tmp_path: Path
) -> None:
    files = Certificates(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    sensei = token("sensei", "instructor")
    async with client(guarded_school.url, sensei) as api:
        class_id = (await create_class(api))["id"]
    variables = {"TLS_CERTIFICATE": str(both)}
    with HaproxyServer(tmp_path, [guarded_school.port], variables) as balancer:
        visitor = await browser.new_context(ignore_https_errors=True)
        page = await visitor.new_page()
        url = view_url(guarded_school, class_id).replace(
            guarded_school.url, f"https://localhost:{balancer.tls_port}"
        )
        await page.goto(url)
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Your token").fill(sensei)
        await dialog.get_by_role("button").click()
        await wait_live(page)
        assert await page.evaluate(PROTOCOL) == "h2"
        await visitor.close()
