"""`/join/{code}`: shows students how to join a class, in Japanese or English."""

import html
from string import Template
from typing import Literal
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from monitor.auth.gate import Guard
from monitor.database.pool import Database
from monitor.errors import NotFound, Unavailable
from monitor.http.public_url import Address, PublicUrl, public_url
from monitor.lms.invites import key_of, open_invitation
from monitor.lms.learner_word import IN_JAPANESE
from monitor.routes.page import POLICY, STATIC

Language = Literal["en", "ja"]

_PATH = "/join/{code}"
_HEADERS = {"Content-Security-Policy": POLICY, "Vary": "Accept-Language"}
_LANGUAGES: tuple[Language, ...] = ("en", "ja")
_TEMPLATES = {
    (name, language): Template((STATIC / f"{name}.{language}.html").read_text())
    for name in ("join", "join-ended", "join-later")
    for language in _LANGUAGES
}


def join_url(base: PublicUrl, code: str) -> str:
    """The link of an invitation, below the server's address."""
    return base + _PATH.format(code=code)


def events_url(base: PublicUrl, prefix: str, credential: str) -> str:
    """What is pasted into the extension: where it posts, with an ingest key or a token."""
    return f"{base}{prefix}/events?key={credential}"


def routes(
    prefix: str, guard: Guard, database: Database, address: Address, login: str
) -> list[Route]:
    """The page. `prefix` is the API's path; `address` the server's (see `public_url`).

    `login` is the kind of provider at which people sign in, or an empty text.
    """

    async def join(request: Request) -> Response:
        code, language = request.path_params["code"], _language(request)
        try:
            async with database.transaction() as connection:
                invitation = await open_invitation(connection, code)
        except NotFound:
            return _page("join-ended", language, 404)
        except Unavailable:
            return _page("join-later", language, 503)
        base = public_url(address, request.scope)
        url = "" if invitation.own_tokens else events_url(base, prefix, key_of(code))
        return _page(
            "join",
            language,
            class_name=invitation.class_name,
            policy=invitation.join_policy,
            learners=IN_JAPANESE[invitation.learner_word],
            credential="token" if invitation.own_tokens else "key",
            api=prefix.strip("/"),
            login=login,
            server=urlsplit(base).netloc,
            url=url,
            mail=quote(url),
        )

    middleware = guard(_PATH, "GET", "HEAD")
    return [Route(_PATH, join, methods=["GET"], middleware=middleware)]


def _page(name: str, language: Language, status: int = 200, **values: str) -> Response:
    escaped = {key: html.escape(value) for key, value in values.items()}
    text = _TEMPLATES[name, language].substitute(escaped)
    return HTMLResponse(text, status, _HEADERS | {"Content-Language": language})


def _language(request: Request) -> Language:
    """The language that the address names, or else the browser's first one of ours."""
    wanted = [request.query_params.get("lang", "")]
    wanted += _by_preference(request.headers.get("accept-language", ""))
    for each in wanted:
        for language in _LANGUAGES:
            if each.lower().split("-")[0] == language:
                return language
    return "en"


def _by_preference(header: str) -> list[str]:
    """The languages of an Accept-Language header, the preferred one first."""
    weighted = []
    for part in header.split(","):
        language, _, weight = part.partition(";")
        try:
            weighted.append((-float(weight.partition("=")[2] or 1), language.strip()))
        except ValueError:  # malformed: as if it were not there
            continue
    return [language for _, language in sorted(weighted, key=lambda each: each[0])]
