"""The systemd unit of deploy/, as systemd reads it."""

import configparser
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from monitor.cli import parser
from monitor.settings import Settings, from_environment
from tests.support.paths import ROOT
from tests.support.programs import find_systemd_analyze

UNIT = ROOT / "deploy" / "systemd" / "cell-monitor.service"
EXPOSURE = 1.5  # of 10, as `systemd-analyze security` adds it up

pytestmark = pytest.mark.needs("systemd-analyze")


def analyze(*arguments: str | Path) -> str:
    """What systemd-analyze prints."""
    program = find_systemd_analyze()
    units = Path(program).parent / "lib" / "systemd" / "system"  # of Debian's unpacked package
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f":{units}"} if units.exists() else None
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def sections() -> dict[str, dict[str, str]]:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.read_string(UNIT.read_text())
    return {name: {key.lower(): value for key, value in unit[name].items()} for name in unit}


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("/opt/cell-monitor/bin/cell-monitor", "/bin/true")
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    assert analyze("verify", "--man=no", copy) == ""


def test_the_service_is_hardly_exposed() -> None:
    said = analyze("security", "--offline=true", "--no-pager", UNIT)
    (level,) = re.findall(r"Overall exposure level for cell-monitor\.service: ([\d.]+)", said)
    assert float(level) <= EXPOSURE


def test_systemd_unit_starts_the_command_and_waits_for_its_stop() -> None:
    service = sections()["Service"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    program, command = service["execstart"].split()
    assert Path(program).name in project["scripts"]
    assert parser().parse_args([command])
    setting, _, value = service["environment"].partition("=")
    assert from_environment({setting: value}).data_dir.name == service["statedirectory"]
    assert int(service["timeoutstopsec"].removesuffix("s")) > 5 * Settings().stop_timeout
