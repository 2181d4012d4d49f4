"""What notifications may connect to, and what their texts hold."""

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

import monitor
from monitor.lms.learner_word import LearnerWord
from monitor.notifications import addresses
from monitor.notifications.addresses import Boundary
from monitor.notifications.operators import digest
from monitor.notifications.texts import component_name, compose, error_name
from monitor.notifications.urls import SERVICES, RefusedUrl, service_of

MONITOR = Path(monitor.__file__).parent


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "::7f00:1",
        "::ffff:0:7f00:1",
        "64:ff9b:1::101:101",
        "localhost",
        "/run/postgresql/.s.PGSQL.5432",
        "",
    ],
)
def test_no_address_of_the_own_network_is_allowed(address: str) -> None:
    assert not Boundary([]).allows(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert Boundary([]).allows(address)


def test_networks_of_the_operator_are_allowed_and_no_others() -> None:
    boundary = Boundary(["10.1.0.0/16", "fd00:1::/32"])
    assert boundary.allows("10.1.2.3")
    assert boundary.allows("::ffff:10.1.2.3")
    assert boundary.allows("fd00:1::5")
    assert not boundary.allows("10.2.0.1")


@pytest.mark.parametrize(
    "address",
    [
        "203.0.114.7",
        "::ffff:203.0.114.7",
        "64:ff9b::cb00:7207",
        "2002:cb00:7207::1",
        "2a00:1::5",
        "10.1.2.3",
    ],
)
def test_networks_that_the_operator_refuses_are_refused_in_any_form(address: str) -> None:
    refused = ["203.0.114.0/24", "2a00:1::/32", "10.1.2.0/24"]
    assert Boundary(["10.0.0.0/8"]).allows(address)
    assert not Boundary(["10.0.0.0/8"], refused).allows(address)
    assert Boundary(["10.0.0.0/8"], refused).allows("10.1.3.3")


def test_public_addresses_of_the_own_machine_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert addresses.is_own(ip_address("127.0.0.1"))
    assert not addresses.is_own(ip_address("1.1.1.1"))
    monkeypatch.setattr(addresses, "is_own", lambda address: str(address) == "1.1.1.1")
    assert not Boundary([]).allows("1.1.1.1")
    assert not Boundary([]).allows("64:ff9b::101:101")
    assert Boundary([]).allows("1.1.1.2")
    assert Boundary(["1.1.1.1/32"]).allows("1.1.1.1")


@pytest.mark.parametrize("scheme", SERVICES)
def test_urls_of_services_are_accepted(scheme: str) -> None:
    assert service_of(f"{scheme}://host/a?to=x&smtp=y") == SERVICES[scheme]


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://hooks.slack.com/services/T/B/x", "Slack"),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/x?api-version=1&sig=x", "Teams"),
        ("https://notdiscord.com/x", "webhook"),
        ("mailtos://u:p@example.org?smtp=smtp.example.org", "mail"),
    ],
)
def test_the_service_of_a_webhook_is_named(url: str, service: str) -> None:
    assert service_of(url) == service


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "JSON://host",
        "json://",
        "json:host",
        "json://host\n",
        "json://host/?template=/etc/passwd",
        "json://host/?VERIFY=no",
        "json://host/?redirect=yes",
        "json://host/?retry=99",
        "json://host/?to=x;template=/etc/passwd",
        "json://host/#a?template=/etc/passwd",
        "json://host/?to=x#?template=/etc/passwd",
        "json://host/?%74emplate=/etc/passwd",
        "json://host/?+X-Header=1",
        "json://" + 2_048 * "x",
        "jsön://host",
    ],
)
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(RefusedUrl) as refused:
        service_of(url)
    assert "host" not in str(refused.value)


def test_names_can_not_call_everybody_or_break_a_line() -> None:
    name = "<!channel> @everyone\n# x `y` " + 200 * "z"
    message = compose("help", "en", "", name=name, count=1, minutes=5)
    assert not set("<>@`\n") & set(message.title)
    assert len(message.title) < 150


@pytest.mark.parametrize(
    ("word", "title"),
    [("student", "学生：呼び出し中の学生がいます"), ("pupil", "学生：呼び出し中の生徒がいます")],
)
def test_a_class_has_its_own_word_for_learners(word: LearnerWord, title: str) -> None:
    message = compose("help", "ja", "", word, name="学生", count=1, minutes=5)
    assert message.title == title


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ("NameError: name 'x'", "NameError"),
        ("json.decoder.JSONDecodeError: …", "json.decoder.JSONDecodeError"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("see evil.example", "An error"),
        ("<!channel>", "An error"),
        ("", "An error"),
    ],
)
def test_of_an_error_only_its_class_is_said(error: str, name: str) -> None:
    assert error_name(error, "en") == name


def test_a_digest_gives_no_url_away() -> None:
    url = "slack://T1JJ3T3L2/A1BRTD4JD/secret"
    assert digest(url).startswith("slack-")
    assert "T1JJ" not in digest(url)


def test_the_parts_of_the_server_have_japanese_names() -> None:
    declared = re.compile(r'^    name = "([a-z_]+)"$', re.MULTILINE)
    names = {name for path in MONITOR.rglob("*.py") for name in declared.findall(path.read_text())}
    assert {"postgres", "spool_drain"} <= names
    assert [name for name in sorted(names) if component_name(name, "ja") == name] == []
    assert component_name("redis", "en") == "redis"
