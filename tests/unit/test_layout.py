"""`make test-fast` needs no server."""

import re

import pytest

from tests.support.left_out import FIXTURES
from tests.support.paths import ROOT

UNIT = ROOT / "tests" / "unit"
SERVERS = {"postgres_server", *FIXTURES} - {"node"}


def test_unit_tests_ask_for_no_server(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        if item.path.parent == UNIT and isinstance(item, pytest.Function):
            assert not SERVERS & set(item.fixturenames), item.nodeid


def test_unit_tests_start_no_server() -> None:
    starts = re.compile(r"^from tests\.support\.(replicas|servers|browser) ", re.MULTILINE)
    modules = sorted(UNIT.glob("test_*.py"))
    assert modules
    assert [path.name for path in modules if starts.search(path.read_text())] == []
