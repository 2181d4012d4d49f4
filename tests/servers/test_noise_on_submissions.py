"""Noise handed in: what isn't refused is stored as it was sent, and can be shown."""

import asyncio
import hashlib
import json
from random import Random
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from tests.servers.test_noise import JSONISH, MUTANTS, ROUND, SEEDS, encoded, mutants, noise
from tests.support.lms import create_assignment, create_student
from tests.support.noise import INPUTS, LIMITS, logger, watched
from tests.support.replicas import Replica

AT_ONCE = 4  # hand-ins

LINES = st.lists(st.text(max_size=9) | st.sampled_from(["\0", "\ud800", "\x1b[31m"]), max_size=3)
TEXT = st.text(max_size=20) | LINES | st.sampled_from(
    [
        "# a\n$$x^{2$$ <script>alert(1)</script> ![a](attachment:a.png)",
        "![a](data:image/png;base64,iVBORw0KGgo=) [b](javascript:0)",
        "$" * 40, "\\begin{matrix}" * 9, "|a|\n|-|\n" * 9, "> " * 60 + "a", "[" * 80, "*_" * 60,
        "&#0; &#xd800; <!--", "\ufeff\u2028\u202e",
    ]
)  # fmt: skip
BUNDLES = st.dictionaries(
    st.sampled_from(["text/plain", "text/html", "image/png", "image/svg+xml", "x", ""]),
    TEXT,
    max_size=3,
)
OUTPUTS = st.fixed_dictionaries(
    {
        "output_type": st.sampled_from(["stream", "display_data", "error", "pyout"]),
        "metadata": JSONISH,
    },
    optional={
        "name": st.sampled_from(["stdout", "stderr", "x"]),
        "text": TEXT,
        "data": BUNDLES,
        "execution_count": st.integers(),
        "ename": TEXT,
        "evalue": TEXT,
        "traceback": LINES,
    },
)
CELLS = st.lists(
    st.fixed_dictionaries(
        {
            "cell_type": st.sampled_from(["code", "markdown", "raw", "heading"]),
            "metadata": st.dictionaries(st.sampled_from(["tags", "name", "x"]), JSONISH),
            "source": TEXT,
        },
        optional={
            "id": st.sampled_from(["a", "b", "", "x" * 65, "é"]),
            "input": TEXT,
            "level": st.integers(),
            "execution_count": st.integers() | st.none(),
            "outputs": st.lists(OUTPUTS, max_size=3),
            "attachments": st.dictionaries(st.sampled_from(["a.png", "", "../a"]), BUNDLES),
        },
    ),
    max_size=3,
)
METADATA = st.dictionaries(st.sampled_from(["kernelspec", "language_info", "authors"]), JSONISH)
NOTEBOOKS = st.fixed_dictionaries(
    {"nbformat": st.just(4), "cells": CELLS},
    optional={
        "nbformat_minor": st.sampled_from([0, 4, 5, 6, 1000, 10**30]),
        "metadata": METADATA,
        "x": JSONISH,
    },
) | st.fixed_dictionaries(
    {
        "nbformat": st.sampled_from([2, 3, 3.0]),
        "worksheets": st.lists(st.fixed_dictionaries({"cells": CELLS}), max_size=2),
    },
    optional={"metadata": METADATA},
)
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    4.5,
    1e308,
    float("nan"),
    10**40,
    "",
    "\0",
    "\ud800",
    "x" * 2000,
]
ODD += [[], {}, [[]], [{}], [None], {"": {}}, {"text/plain": 1}, [1, "a"], {"cells": []}]


def altered(value: Any, chance: Random) -> Any:
    """The value with one or two of its parts, at any depth, replaced by something odd."""
    if not value or not isinstance(value, (dict, list)) or chance.random() < 0.1:
        return chance.choice(ODD)
    changed = value.copy()
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = chance.choice(keys)
    changed[key] = altered(value[key], chance)
    return changed


def contents(example: dict[str, Any], seed: int) -> list[bytes]:
    """The example, and others like it; some are no JSON any more."""
    chance = Random(seed)
    others = [encoded(altered(example, chance)) for _ in range(MUTANTS // 2)]
    return others + mutants(encoded(example), seed)[: MUTANTS - len(others)]


def test_noise_on_submissions(school: Replica) -> None:
    accepted = 0
    with asyncio.Runner() as runner, watched(school, INPUTS) as look:
        api = httpx.AsyncClient(base_url=f"{school.url}/api/v1", timeout=30, limits=LIMITS)

        async def assigned() -> bytes:
            fields = {
                "assignment_id": (await create_assignment(api))["id"],
                "student_id": (await create_student(api))["id"],
            }
            return encoded(fields)[:-1] + b', "notebook_content": '

        head = runner.run(assigned())

        async def hand_in_all(bodies: list[bytes]) -> int:
            turns = asyncio.Semaphore(AT_ONCE)

            async def in_turn(content: bytes) -> bool:
                async with turns:
                    return await hand_in(api, head, content)

            return sum(await asyncio.gather(*map(in_turn, bodies)))

        @noise
        @given(NOTEBOOKS, SEEDS)
        def handed_in(example: dict[str, Any], seed: int) -> None:
            nonlocal accepted
            accepted += runner.run(hand_in_all(contents(example, seed)))
            look(MUTANTS)

        for _ in range(0, INPUTS, ROUND * MUTANTS):
            handed_in()
        runner.run(api.aclose())
    logger.info("%d were accepted", accepted)
    assert accepted > INPUTS / 8  # 0.24 to 0.3 was seen


async def hand_in(api: httpx.AsyncClient, head: bytes, content: bytes) -> bool:
    """Whether it was accepted; then all of it can be read."""
    fields = {"Content-Type": "application/json"}
    answer = await api.post("/submissions", content=head + content + b"}", headers=fields)
    if answer.status_code != 201:
        assert answer.status_code == 422, (content, answer.text)
        return False
    submission: dict[str, Any] = strict(answer.text)
    if content.startswith(b"{") and submission["notebook_content"] is not None:
        assert submission["sha256"] == hashlib.sha256(content.strip()).hexdigest(), content
    for part in ("", "/markdown"):
        path = f"/submissions/{submission['id']}{part}"
        read = await api.get(path)
        assert read.status_code == 200, (path, content, read.text)
        strict(read.text)
    return True


def strict(text: str) -> Any:
    """JSON as browsers read it: without NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in {text}")

    return json.loads(text, parse_constant=refuse)
