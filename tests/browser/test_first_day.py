"""From nothing to a first tile and a first notification, as "A school, step by step" has it."""

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.browser.test_login import sign_in
from tests.support.events import event
from tests.support.openid import run_openid
from tests.support.paths import ROOT
from tests.support.proxies import NginxProxy
from tests.support.receivers import receiving
from tests.support.replicas import Replica
from tests.support.secured import PASSWORD, QUOTED, Certificates, PlainRedis, tls_postgres
from tests.support.servers import free_port
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually


class TlsNginx(NginxProxy):
    """With TLS at its port: what asks without it is refused."""

    answer = b"HTTP/1.1 400"


def command(environment: dict[str, str], *arguments: str) -> str:
    """What a command prints, which an operator runs beside the server."""
    known = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment}
    return subprocess.check_output(
        [sys.executable, str(ROOT / "run.py"), *arguments], env=known, cwd=ROOT, text=True
    ).strip()


@pytest.mark.needs("PostgreSQL with TLS", "Debian's redis", "nginx")
async def test_a_school_has_its_first_tile_and_its_first_notification(
    browser: Browser, tmp_path: Path
) -> None:
    for name in ("redis", "nginx", "certificates"):
        (tmp_path / name).mkdir()
    files = Certificates(tmp_path / "certificates")
    trusted = ssl.create_default_context(cafile=files.authority)
    front = free_port()
    home = f"https://localhost:{front}/monitor"
    https = {
        "listen 80;": f"listen 127.0.0.1:{front} ssl;"
        f" ssl_certificate {files.certificate}; ssl_certificate_key {files.key};",
        "server_name school.example;": "server_name localhost;",
    }
    with (
        tls_postgres(files) as postgres,
        PlainRedis(tmp_path / "redis") as redis,
        run_openid() as provider,
    ):
        postgres.execute(
            f"CREATE ROLE monitor LOGIN PASSWORD '{PASSWORD}';"
            " CREATE DATABASE school OWNER monitor ENCODING 'UTF8' TEMPLATE template0;"
        )
        verified = f"sslmode=verify-full&sslrootcert={files.authority}"
        async with receiving() as receiver:
            environment = {
                "DATABASE_URL": f"postgres://monitor:{QUOTED}@localhost:{postgres.port}/school?{verified}",
                "REDIS_URL": f"redis://:{QUOTED}@127.0.0.1:{redis.port}/0",
                "DATA_DIR": str(tmp_path / "data"),
                "PUBLIC_URL": home,
                "TRUSTED_PROXIES": "127.0.0.1",
                "JWT_SECRET": SECRET,
                "NOTIFY_URLS": receiver.url,
                "NOTIFY_HEALTH_SECONDS": "1",
                **provider.settings,
            }
            with (
                Replica(environment) as replica,
                TlsNginx(tmp_path / "nginx", front, replica.port, https),
            ):
                assert f"Open {home}/ for the teacher's page, and sign in" in replica.output()
                root = bearer(command(environment, "mint-token", "root", "--role", "admin"))
                visitor = await browser.new_context(ignore_https_errors=True)
                page = await visitor.new_page()
                async with httpx.AsyncClient(base_url=home, verify=trusted) as api:
                    made = await api.post(
                        "/api/v1/classes", json={"name": "1-A", "class_code": "1A"}, headers=root
                    )
                    class_id = made.json()["id"]
                    roster = [{"user_id": "sensei", "role": "teacher"}]
                    path = f"/api/v1/classes/{class_id}/students"
                    assert (await api.post(path, json=roster, headers=root)).is_success
                    named = command(
                        environment, "keys", "create", "JupyterLab", "--class-id", str(class_id)
                    )
                    key = {"key": json.loads(named)["key"]}
                    await page.goto(f"{home}/#/class/{class_id}")
                    await sign_in(page)

                    async def posted() -> bool:  # another process has made the key
                        sent = [event(userId="hanako")]
                        answer = await api.post("/api/v1/events", params=key, json=sent)
                        return answer.status_code == 202

                    await eventually(posted)
                await expect(page.get_by_text("hanako").first).to_be_visible()
                redis.stop()
                titles = await eventually(receiver.titles, within=60)
                assert titles[0].startswith("Cell Monitor: redis is ")
                await visitor.close()
