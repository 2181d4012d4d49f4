"""The pictures of a run, on the page of the student."""

import json
from base64 import b64encode

import httpx
from playwright.async_api import Browser, expect

from tests.browser.page import view_url
from tests.support.browser import open_tab
from tests.support.events import event, post
from tests.support.lms import create_class_of
from tests.support.replicas import Replica

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="document.title=1">'
    "<script>document.title = 1</script></svg>"
)


async def test_a_runs_pictures_are_shown_and_run_nothing(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    class_id, (user,), (student,) = await create_class_of(api, "hanako")
    data = [{"image/png": PNG}, {"image/svg+xml": SVG}, {"image/jpeg": "A" * 2_000_000}]
    outputs = [{"output_type": "display_data", "data": each} for each in data]
    assert (await post(school, event(userId=user, result=outputs))).json()["stored"] == 1
    forged = [{"mimeType": "text/html", "bytes": 1, "data": "PGI+"}, 5, {"mimeType": 1}]
    run = event(userId=user, result="x" * 20_000, metadata={"pictures": forged})
    assert (await post(school, run)).json()["stored"] == 1

    path = f"/students/{student}"
    newest, first = (await api.get(f"{path}/timeline")).json()["items"]
    assert (newest["pictures"], newest["output_cut"]) == (3, True)
    assert (first["pictures"], first["output_cut"]) == (3, False)
    query = {key: first[key] for key in ("event_id", "executed_at")}
    kept = (await api.get(f"{path}/pictures", params=query)).json()
    assert kept == [
        {"media_type": "image/png", "bytes": 69, "data": PNG},
        {
            "media_type": "image/svg+xml",
            "bytes": len(SVG),
            "data": b64encode(SVG.encode()).decode(),
        },
        {"media_type": "image/jpeg", "bytes": 1_500_000, "data": None},
    ]
    query = {key: newest[key] for key in ("event_id", "executed_at")}
    assert (await api.get(f"{path}/pictures", params=query)).json() == []
    query["executed_at"] = first["executed_at"]
    assert (await api.get(f"{path}/pictures", params=query)).status_code == 404

    async with open_tab(browser, view_url(school, class_id, f"student/{student}")) as page:
        shown = page.locator(".pictures img")
        cards = page.locator(".runs .card")
        await expect(cards).to_have_count(2)
        for card in await cards.all():
            await card.locator(".pictures").scroll_into_view_if_needed()
        await expect(shown).to_have_count(2)
        widths = await shown.evaluate_all(
            "each => Promise.all(each.map(async (img) => (await img.decode(), img.naturalWidth)))"
        )
        assert widths == [1, 9]
        assert await page.title() != "1"
        await expect(page.locator(".pictures")).to_contain_text(
            ["", "A picture (image/jpeg, 1500 KB) was too large to be kept."]
        )
        await expect(cards.first).to_contain_text("The output was longer")
        assert json.dumps(SVG) not in await page.content()
