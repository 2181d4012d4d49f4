"""Leaves out the tests whose programs can't be had on this machine, and says so at the end.

A test names its programs by `@pytest.mark.needs("influxdb")`, or through a fixture that runs one.
A run that leaves tests out fails, unless it was asked for `--available`.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.support.programs import (
    ProgramError,
    find_alertmanager,
    find_amtool,
    find_apache,
    find_caddy,
    find_chromium,
    find_curl,
    find_former_postgres,
    find_haproxy,
    find_hub_proxy,
    find_influxd,
    find_nginx,
    find_node,
    find_pgbouncer,
    find_postgres,
    find_prometheus,
    find_promtool,
    find_redis,
    find_small_disks,
    find_strict_redis,
    find_systemd_analyze,
)

PROGRAMS: dict[str, Callable[[], object]] = {
    "redis": find_redis,
    "Debian's redis": find_strict_redis,
    "PostgreSQL with TLS": find_postgres,
    "pgbouncer": find_pgbouncer,
    "influxdb": find_influxd,
    "haproxy": find_haproxy,
    "JupyterHub's proxy": find_hub_proxy,
    "nginx": find_nginx,
    "apache": find_apache,
    "caddy": find_caddy,
    "prometheus": find_prometheus,
    "promtool": find_promtool,
    "alertmanager": find_alertmanager,
    "amtool": find_amtool,
    "chromium": find_chromium,
    "curl": find_curl,
    "node": find_node,
    "small disks": find_small_disks,
    "former postgres": find_former_postgres,
    "systemd-analyze": find_systemd_analyze,
}
FIXTURES = {
    "redis_server": ("redis",),
    "influx_server": ("influxdb",),
    "browser": ("chromium", "node"),
    "node": ("node",),
}
NAMED = {"redis_server": "TEST_REDIS", "influx_server": "TEST_INFLUXDB"}  # running ones

_missing = pytest.StashKey[dict[str, str]]()  # program → what to do
_left_out = pytest.StashKey[list[tuple[str, str]]]()  # program, file: one for each test


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--available",
        action="store_true",
        help="succeed although tests are left out because a program can't be had",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): what the test runs of `PROGRAMS`")
    config.stash[_missing], config.stash[_left_out] = {}, []
    if getattr(config.option, "numprocesses", None):  # else each worker would download programs
        for find in PROGRAMS.values():
            with suppress(ProgramError):  # the workers report it
                find()


@pytest.hookimpl(trylast=True)  # after -k has chosen: only what is needed is downloaded
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.collectonly:
        return
    missing, left_out = config.stash[_missing], config.stash[_left_out]
    needed = {program for item in items for program in _needs(item)}
    for program in sorted(needed):
        try:
            PROGRAMS[program]()
        except ProgramError as error:
            missing[program] = str(error)
    without = {item: absent for item in items if (absent := missing.keys() & set(_needs(item)))}
    for item, absent in without.items():
        left_out.append((min(absent), item.nodeid.partition("::")[0]))
    if without:
        config.hook.pytest_deselected(items=list(without))
        items[:] = [item for item in items if item not in without]


def _needs(item: pytest.Item) -> Iterator[str]:
    for mark in item.iter_markers("needs"):
        yield from mark.args
    for fixture in getattr(item, "fixturenames", ()):
        if not os.environ.get(NAMED.get(fixture, "")):
            yield from FIXTURES.get(fixture, ())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if hasattr(session.config, "workeroutput"):
        stash = session.config.stash
        session.config.workeroutput["left_out"] = stash[_missing], stash[_left_out]
        return
    good = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)  # each may be left out
    if session.config.stash[_left_out] and exitstatus in good:
        allowed = session.config.option.available
        session.exitstatus = pytest.ExitCode.OK if allowed else pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes over from a worker of pytest-xdist: each of them has collected all tests."""
    if output := getattr(node, "workeroutput", None):  # else it has crashed, which fails the run
        missing, left_out = output["left_out"]
        node.config.stash[_missing], node.config.stash[_left_out] = missing, left_out


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    left_out = config.stash[_left_out]
    if not left_out:
        return
    terminalreporter.section(f"{len(left_out)} tests were left out", red=True, bold=True)
    for program, advice in config.stash[_missing].items():
        terminalreporter.line(advice)
        files = Counter(file for each, file in left_out if each == program)
        for file, tests in sorted(files.items()):
            terminalreporter.line(f"    {file}: {tests}")
    if not config.option.available:
        terminalreporter.line("So this run has failed. `make test-available` accepts it.")
