"""`serve --class`: the one command of a teacher who runs the server themselves."""

import re
import socket
import stat
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.replicas import RUN, Replica
from tests.support.tokens import bearer

SERVE_CLASS = (*RUN, "serve", "--class", "Python I")


def links(replica: Replica) -> tuple[str, str]:
    """The students' and the teacher's, as printed."""
    (students,) = re.findall(r"^  students  (\S+)$", replica.output(), re.M)
    (teacher,) = re.findall(r"^  teacher   (\S+)$", replica.output(), re.M)
    return students, teacher


def test_it_makes_a_class_once_and_prints_its_links(environment: dict[str, str]) -> None:
    with Replica(environment, command=SERVE_CLASS) as replica:
        first = students, teacher = links(replica)
        assert "█" in replica.output()  # the QR code
        page = httpx.get(students, headers={"Accept-Language": "en"})
        assert "Python I" in page.text
        fragment = parse_qs(urlsplit(teacher).fragment)
        api = f"{replica.url}/api/v1"
        assert httpx.get(f"{api}/classes").status_code == 401
        (found,) = httpx.get(f"{api}/classes", headers=bearer(fragment["token"][0])).json()
        assert found["name"] == "Python I"
        assert fragment["to"] == [f"/class/{found['id']}"]
        assert httpx.get(f"{api}/audit", headers=bearer(fragment["token"][0])).status_code == 403
    with Replica(environment, command=SERVE_CLASS) as again:
        port = str(replica.port)
        assert [each.replace(str(again.port), port) for each in links(again)] == list(first)
        headers = bearer(fragment["token"][0])
        assert len(httpx.get(f"{again.url}/api/v1/classes", headers=headers).json()) == 1


def test_its_secret_is_kept_from_others_and_used_by_other_commands(
    environment: dict[str, str],
) -> None:
    with Replica(environment, command=SERVE_CLASS) as replica:
        secret = Path(environment["DATA_DIR"]) / "jwt-secret"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert len(secret.read_text()) >= 32
        assert secret.read_text() not in replica.output()
        minting = [*RUN, "mint-token", "root", "--role", "admin"]
        token = subprocess.check_output(minting, env=replica.environment, text=True).strip()
        assert httpx.get(f"{replica.url}/api/v1/audit", headers=bearer(token)).status_code == 200
    with Replica(environment) as plain:  # without --class it is no open server
        assert httpx.get(f"{plain.url}/api/v1/classes").status_code == 401


def test_a_class_made_on_the_page_is_found_by_its_name(environment: dict[str, str]) -> None:
    with Replica(environment) as open_server:
        body = {"name": "Python I", "class_code": "P1"}
        made = httpx.post(f"{open_server.url}/api/v1/classes", json=body).json()
    with Replica(environment, command=SERVE_CLASS) as replica:
        assert links(replica)[1].endswith(f"to=/class/{made['id']}")


def test_it_listens_on_the_network_unless_host_says_otherwise(environment: dict[str, str]) -> None:
    with Replica(environment, command=SERVE_CLASS) as replica:
        host = urlsplit(links(replica)[0]).hostname
        assert host
        assert httpx.get(f"http://{host}:{replica.port}/health/live").status_code == 200
        with socket.create_connection(("127.0.0.2", replica.port)):
            pass
    with Replica(environment | {"HOST": "127.0.0.1"}, command=SERVE_CLASS) as replica:
        assert urlsplit(links(replica)[0]).hostname == "127.0.0.1"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", replica.port))
    public = {"PUBLIC_URL": "https://school.example/monitor/"}
    with Replica(environment | public, command=SERVE_CLASS) as replica:
        assert links(replica)[0].startswith("https://school.example/monitor/join/")


def test_it_says_what_to_do_where_people_sign_in_elsewhere(environment: dict[str, str]) -> None:
    hub = {"PATH": "/usr/bin:/bin", "JUPYTERHUB_API_URL": "http://hub:8081/hub/api", **environment}
    done = subprocess.run(SERVE_CLASS, env=hub, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "start without --class" in done.stderr
    assert not (Path(environment["DATA_DIR"]) / "jwt-secret").exists()


@pytest.mark.parametrize("name", ["", "  ", "x" * 513])
def test_a_class_needs_a_name(environment: dict[str, str], name: str) -> None:
    command = [*RUN, "serve", "--class", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "a name of 1 to 512 characters" in done.stderr
