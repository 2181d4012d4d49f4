"""Events with odd values: no 500, none lost without a word, and a retry adds nothing."""

import asyncio
import json
import os
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.lms import unique
from tests.support.replicas import Replica

EXAMPLES = int(os.environ.get("FUZZ_INPUTS", "1000")) // 10  # of up to six events each

NUMBERS = st.integers() | st.floats() | st.sampled_from([3.0, 10**30, -(2**31) - 1, 1e308, 1e-308])
TEXTS = st.text(max_size=9) | st.sampled_from(
    ["NaN", "\0", "\ud800", "\\", '"', "3", "3.0", "true", "1e400", "x" * 600, "1790000000000"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OUTPUTS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "output_type": st.sampled_from(["stream", "display_data", "error"]) | VALUES,
            "text": st.lists(TEXTS, max_size=3) | VALUES,
            "data": st.dictionaries(
                st.sampled_from(["text/plain", "image/png", "image/svg+xml"]), VALUES
            )
            | VALUES,
            "ename": VALUES,
            "evalue": VALUES,
            "traceback": st.lists(TEXTS, max_size=3) | VALUES,
        },
    )
    | VALUES,
    max_size=4,
)
TIMES = st.integers(0, 2 * 10**12) | st.floats(0, 2e12) | st.integers(0, 2 * 10**18)
# What says how an execution went is never a reason to lose it, whatever its value is.
HARMLESS = {
    "eventTime": TIMES | TIMES.map(str) | VALUES,
    "eventId": VALUES,
    "result": OUTPUTS | VALUES,
    "errorMessage": st.fixed_dictionaries({"ename": VALUES, "evalue": VALUES}) | VALUES,
    "executionDurationMs": VALUES,
    "metadata": VALUES,
    "unknown": VALUES,
}
PLACING = dict.fromkeys(
    ("code", "cellIndex", "executionCount", "hasError", "userName", "sessionId", "cellId"), VALUES
)


def events(fields: dict[str, Any]) -> st.SearchStrategy[Any]:
    kind = {"eventType": st.sampled_from(["cell_executed", "help", "notebook_open", "x"])}
    return st.lists(st.fixed_dictionaries(kind, optional=fields), min_size=1, max_size=6)


def test_odd_values_are_stored_or_refused_by_name(shared_replica: Replica) -> None:
    odd = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    student, logged = unique(), len(shared_replica.output())
    with asyncio.Runner() as runner:
        api = httpx.AsyncClient(timeout=30)

        def post(items: list[dict[str, Any]]) -> httpx.Response:
            body = json.dumps([{"userId": student, **item} for item in items]).encode()
            return runner.run(api.post(shared_replica.events_url, content=body))

        @odd
        @given(events(HARMLESS))
        def harmless(items: list[dict[str, Any]]) -> None:
            answer = post(items)
            assert answer.status_code == 202, answer.text
            assert answer.json()["rejected"] == []
            assert answer.json()["stored"] + answer.json()["duplicates"] == len(items)
            has_ids = all(type(item.get("eventId")) is int for item in items)
            if has_ids:
                assert post(items).json()["duplicates"] == len(items)

        @odd
        @given(events(HARMLESS | PLACING))
        def any_field(items: list[dict[str, Any]]) -> None:
            answer = post(items)
            assert answer.status_code in (202, 422), answer.text
            for rejected in answer.json()["rejected"]:
                assert rejected["path"].partition("[")[0] in PLACING

        harmless()
        any_field()
        runner.run(api.aclose())
    assert "Traceback" not in shared_replica.output()[logged:]
