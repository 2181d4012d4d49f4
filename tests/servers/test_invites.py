"""Invitations: their links, the page that they lead to, and the key that it shows."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from monitor.lms.invites import key_of
from tests.support.fixtures import replica_fixture
from tests.support.lms import create_class, unique
from tests.support.replicas import Replica
from tests.support.tokens import SECRET, client, token

EVENT_KEY = re.compile(r"/api/v1/events\?key=(cmk_[\w-]{43})")
PUBLIC = "https://school.example/monitor"

published = replica_fixture("module", JWT_SECRET=SECRET, PUBLIC_URL=f"{PUBLIC}/")


@pytest.fixture
async def teacher(guarded_school: Replica) -> AsyncIterator[httpx.AsyncClient]:
    async with client(guarded_school.url, token(unique("sensei"), "instructor")) as api:
        yield api


async def invite(api: httpx.AsyncClient, class_id: int) -> dict[str, Any]:
    answer = await api.post(f"/classes/{class_id}/invite")
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def visit(url: str, **headers: str) -> httpx.Response:
    """The page as somebody without a credential sees it."""
    async with httpx.AsyncClient(headers=headers, timeout=15) as browser:
        return await browser.get(url)


async def post(url: str, key: str) -> int:
    event = {"eventType": "notebook_opened", "userId": unique("hanako"), "notebookPath": "a.ipynb"}
    async with httpx.AsyncClient(timeout=15) as notebook:
        return (await notebook.post(f"{url}/api/v1/events?key={key}", json=[event])).status_code


async def test_a_class_keeps_its_invitation_until_it_is_rotated(
    teacher: httpx.AsyncClient, guarded_school: Replica
) -> None:
    class_id = (await create_class(teacher, name="Python I"))["id"]
    path = f"/classes/{class_id}/invite"
    assert (await teacher.get(path)).status_code == 404
    first = await invite(teacher, class_id)
    assert first["url"] == f"{guarded_school.url}/join/{first['code']}"
    assert len(first["code"]) == 22
    assert await invite(teacher, class_id) == first
    assert (await teacher.get(path)).json() == first
    second = (await teacher.post(f"{path}/rotate")).json()
    assert second["code"] != first["code"]
    assert (await visit(first["url"])).status_code == 404
    assert (await visit(second["url"])).status_code == 200
    keys = (await teacher.get("/ingest-keys", params={"class_id": class_id})).json()
    by_id = {each["id"]: each["valid_to"] for each in keys}
    assert by_id[first["key_id"]] is not None  # in a day
    assert by_id[second["key_id"]] is None
    assert await post(guarded_school.url, key_of(first["code"])) == 202


async def test_two_who_invite_at_once_get_one_invitation(teacher: httpx.AsyncClient) -> None:
    class_id = (await create_class(teacher))["id"]
    invites = await asyncio.gather(*(invite(teacher, class_id) for _ in range(6)))
    assert len({each["code"] for each in invites}) == 1
    keys = (await teacher.get("/ingest-keys", params={"class_id": class_id})).json()
    assert [each["id"] for each in keys] == [invites[0]["key_id"]]


async def test_an_ended_invitation_leaves_the_key_unless_it_is_to_end_too(
    teacher: httpx.AsyncClient, guarded_school: Replica
) -> None:
    class_id = (await create_class(teacher))["id"]
    path = f"/classes/{class_id}/invite"
    first = await invite(teacher, class_id)
    assert (await teacher.delete(path)).status_code == 200
    assert (await teacher.delete(path)).status_code == 404
    assert (await visit(first["url"])).status_code == 404
    assert await post(guarded_school.url, key_of(first["code"])) == 202
    second = await invite(teacher, class_id)
    assert (await teacher.delete(path, params={"revoke_key": "true"})).status_code == 200
    assert (await visit(second["url"])).status_code == 404
    assert await post(guarded_school.url, key_of(second["code"])) == 401


async def test_a_key_that_ends_by_itself_ends_its_invitation(teacher: httpx.AsyncClient) -> None:
    class_id = (await create_class(teacher))["id"]
    first = await invite(teacher, class_id)
    assert (await teacher.delete(f"/ingest-keys/{first['key_id']}")).status_code == 200
    assert (await visit(first["url"])).status_code == 404
    assert (await invite(teacher, class_id))["code"] != first["code"]


async def test_an_archived_class_invites_nobody(teacher: httpx.AsyncClient) -> None:
    class_id = (await create_class(teacher))["id"]
    first = await invite(teacher, class_id)
    await teacher.put(f"/classes/{class_id}", json={"is_active": False})
    assert (await visit(first["url"])).status_code == 404
    refused = await teacher.post(f"/classes/{class_id}/invite")
    assert refused.status_code == 409
    assert "make it active" in refused.json()["detail"]


async def test_only_the_staff_of_the_class_invites(
    teacher: httpx.AsyncClient, guarded_school: Replica
) -> None:
    class_id = (await create_class(teacher))["id"]
    await invite(teacher, class_id)
    for role in ("instructor", "student"):
        async with client(guarded_school.url, token(unique("other"), role)) as other:
            for method, path in (("GET", ""), ("POST", ""), ("POST", "/rotate"), ("DELETE", "")):
                answer = await other.request(method, f"/classes/{class_id}/invite{path}")
                assert answer.status_code == 403, (role, method, path)


@pytest.mark.parametrize(("word", "others"), [("student", "学生"), ("pupil", "生徒")])
async def test_the_page_has_the_class_s_word_for_learners(
    teacher: httpx.AsyncClient, word: str, others: str
) -> None:
    class_id = (await create_class(teacher, learner_word=word))["id"]
    page = await visit((await invite(teacher, class_id))["url"] + "?lang=ja")
    assert f"ほかの{others}には見えません" in page.text


async def test_the_page_shows_the_class_and_the_address_to_paste(
    teacher: httpx.AsyncClient, guarded_school: Replica
) -> None:
    class_id = (await create_class(teacher, name="<b>情報 & 数学</b>"))["id"]
    url = (await invite(teacher, class_id))["url"]
    page = await visit(url)
    assert page.headers["Cache-Control"] == "no-store"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert not re.search(r"<style|<script(?! type=\"module\" src=)|\son\w+=|\sstyle=", page.text)
    assert "&lt;b&gt;情報 &amp; 数学&lt;/b&gt;" in page.text
    assert "<b>" not in page.text
    found = EVENT_KEY.search(page.text)
    assert found
    assert f"{guarded_school.url}/api/v1/events?key=" in page.text
    assert await post(guarded_school.url, found[1]) == 202


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("", "ja", "ja"),
        ("", "ja-JP,ja;q=0.9,en-US;q=0.8", "ja"),
        ("", "fr, en;q=0.3, ja;q=0.7", "ja"),
        ("", "ja;q=0.2, en-GB", "en"),
        ("", "de;q=x, fr", "en"),
        ("", "", "en"),
        ("?lang=ja", "en", "ja"),
        ("?lang=en", "ja", "en"),
    ],
)
async def test_the_page_speaks_the_language_of_its_visitor(
    guarded_school: Replica, query: str, accepted: str, language: str
) -> None:
    url = f"{guarded_school.url}/join/{unique()}{query}"
    page = await visit(url, **{"Accept-Language": accepted})
    assert page.status_code == 404
    assert page.headers["Content-Language"] == language
    assert f'<html lang="{language}">' in page.text


async def test_links_begin_with_the_public_url(published: Replica) -> None:
    async with client(published.url, token("root", "admin")) as api:
        class_id = (await create_class(api))["id"]
        created = await invite(api, class_id)
    assert created["url"] == f"{PUBLIC}/join/{created['code']}"
    page = await visit(f"{published.url}/join/{created['code']}")
    assert f"{PUBLIC}/api/v1/events?key=cmk_" in page.text


async def tokens_class(api: httpx.AsyncClient, *users: str) -> tuple[int, dict[str, Any]]:
    """A class of these students whose invitation hands out their own tokens."""
    class_id = (await create_class(api))["id"]
    rows = [{"user_id": user} for user in users]
    assert (await api.post(f"/classes/{class_id}/students", json=rows)).status_code == 201
    path = f"/classes/{class_id}/invite/rotate"
    answer = await api.post(path, params={"own_tokens": "true"})
    assert answer.status_code == 201, answer.text
    return class_id, answer.json()


async def claim(replica: Replica, code: str, user: str | None) -> httpx.Response:
    async with client(replica.url, None) as browser:
        return await browser.post(f"/join/{code}/token", json={"user_id": user})


async def test_a_line_of_the_roster_gets_its_own_address_once(
    teacher: httpx.AsyncClient, guarded_school: Replica
) -> None:
    hanako, taro = unique("hanako"), unique("taro")
    class_id, created = await tokens_class(teacher, hanako, taro)
    assert (created["own_tokens"], created["key_id"]) == (True, None)
    page = await visit(created["url"])
    assert "cmk_" not in page.text
    assert await post(guarded_school.url, key_of(created["code"])) == 401
    answer = await claim(guarded_school, created["code"], hanako)
    assert answer.status_code == 201, answer.text
    url = answer.json()["url"]
    assert url.startswith(f"{guarded_school.url}/api/v1/events?key=cms_")
    again = await claim(guarded_school, created["code"], hanako)
    assert again.status_code == 409
    stranger = await claim(guarded_school, created["code"], unique("stranger"))
    assert (stranger.status_code, "roster" in stranger.json()["detail"]) == (404, True)
    assert (await claim(guarded_school, created["code"], None)).status_code == 422
    assert (await claim(guarded_school, "unknown", taro)).status_code == 404
    async with httpx.AsyncClient(timeout=15) as extension:
        events = [{"eventType": "help", "userId": user} for user in (hanako, taro)]
        posted = (await extension.post(url, json=events)).json()
    assert (posted["stored"], len(posted["rejected"])) == (1, 1)
    (token_row,) = (await teacher.get("/student-tokens", params={"class_id": class_id})).json()
    assert (token_row["user_id"], token_row["claimed"]) == (hanako, True)


async def test_a_student_who_is_signed_in_gets_theirs_at_once(
    teacher: httpx.AsyncClient, guarded_school: Replica
) -> None:
    hanako = unique("hanako")
    class_id, created = await tokens_class(teacher, hanako)
    async with client(guarded_school.url, token(hanako)) as student:
        path = f"/join/{created['code']}/token"
        urls = [(await student.post(path, json={})).json()["url"] for _ in range(2)]
    assert urls[0] != urls[1]
    rows = (await teacher.get("/student-tokens", params={"class_id": class_id})).json()
    assert [each["claimed"] for each in rows] == [False, False]
    async with client(guarded_school.url, token(unique("jiro"))) as other:
        assert (await other.post(path, json={"user_id": hanako})).status_code == 409
        assert (await other.post(path, json={})).status_code == 404


async def test_a_rotation_to_own_tokens_ends_the_shared_key_in_a_day(
    teacher: httpx.AsyncClient, guarded_school: Replica
) -> None:
    class_id = (await create_class(teacher))["id"]
    shared = await invite(teacher, class_id)
    path = f"/classes/{class_id}/invite/rotate"
    assert (await teacher.post(path, params={"own_tokens": "true"})).json()["own_tokens"]
    assert (await teacher.post(path)).json()["own_tokens"]
    keys = (await teacher.get("/ingest-keys", params={"class_id": class_id})).json()
    assert [bool(each["valid_to"]) for each in keys] == [True]
    assert await post(guarded_school.url, key_of(shared["code"])) == 202
    back = (await teacher.post(path, params={"own_tokens": "false"})).json()
    assert await post(guarded_school.url, key_of(back["code"])) == 202


async def test_the_qr_code_is_an_image_of_the_server(teacher: httpx.AsyncClient) -> None:
    class_id = (await create_class(teacher))["id"]
    image = unquote((await invite(teacher, class_id))["qr_image"])
    assert image.startswith("data:image/svg+xml")
    assert urlsplit(image).scheme == "data"
    assert "<svg" in image
    assert "<script" not in image


@pytest.mark.parametrize("code", ["%00", "%ff", "a" * 3000, "..%2f..%2f", "'"])
async def test_a_strange_code_is_just_unknown(guarded_school: Replica, code: str) -> None:
    assert (await visit(f"{guarded_school.url}/join/{code}")).status_code == 404
