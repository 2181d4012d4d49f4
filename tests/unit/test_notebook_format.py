"""Reading notebooks: what Jupyter opens is accepted, and marked irregular if it is not valid."""

import hashlib
import json
from typing import Any

import nbformat
import pytest

from monitor.lms.findings import MAX_FINDINGS
from monitor.lms.notebook_cells import MAX_ELEMENTS, MAX_OUTPUTS
from monitor.lms.notebook_errors import InvalidNotebook
from monitor.lms.notebook_format import read_notebook

NOTEBOOK: dict[str, Any] = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
CODE: dict[str, Any] = {
    "cell_type": "code",
    "id": "a",
    "metadata": {},
    "outputs": [],
    "source": "",
    "execution_count": None,
}
TEXT: dict[str, Any] = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["a\n", "b"]}
STREAM: dict[str, Any] = {"output_type": "stream", "name": "stdout", "text": ["a\n", '"]']}
DISPLAY: dict[str, Any] = {"output_type": "display_data", "data": {}, "metadata": {}}
RESULT = DISPLAY | {"output_type": "execute_result", "execution_count": 1}
ERROR = {"output_type": "error", "ename": "E", "evalue": "", "traceback": ["\\", "\n"]}


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key != name}


def cell(**fields: Any) -> dict[str, Any]:
    return NOTEBOOK | {"cells": [CODE | fields]}


def text(**fields: Any) -> dict[str, Any]:
    return NOTEBOOK | {"cells": [TEXT | fields]}


def shown(**data: Any) -> dict[str, Any]:
    return cell(outputs=[DISPLAY | {"data": data}])


def findings(content: dict[str, Any] | bytes) -> list[tuple[int | None, str]]:
    sent = content if isinstance(content, bytes) else json.dumps(content).encode()
    return [(each.cell, each.finding) for each in read_notebook(sent).irregularities]


def is_valid(content: dict[str, Any]) -> bool:
    try:
        nbformat.validate(content)
    except (nbformat.ValidationError, AssertionError):
        return False
    return True


REGULAR = {
    "empty": NOTEBOOK,
    "minor 0": NOTEBOOK | {"nbformat_minor": 0, "cells": [without(CODE, "id")]},
    "all outputs": cell(outputs=[STREAM, DISPLAY, RESULT, ERROR], execution_count=3),
    "source as lines": cell(source=["a\n", "b"]),
    "no source lines": text(source=[]),
    "Colab's metadata": NOTEBOOK
    | {"metadata": {"colab": {"provenance": []}, "accelerator": "GPU"}},
    "VS Code's metadata": cell(metadata={"vscode": {"languageId": "python"}, "tags": ["x"]}),
    "media": shown(**{"text/plain": ["a"], "application/json": {"a": [1]}, "image/png": "aaaa"}),
    "attachments": text(attachments={"a.png": {"image/png": "aaaa"}}),
}

IRREGULAR = {
    "no metadata": without(NOTEBOOK, "metadata"),
    "metadata in a list": NOTEBOOK | {"metadata": []},
    "a kernel without a name": NOTEBOOK | {"metadata": {"kernelspec": {"display_name": "x"}}},
    "a language without a name": NOTEBOOK | {"metadata": {"language_info": {}}},
    "another key": NOTEBOOK | {"signature": "x"},
    "no minor version": without(NOTEBOOK, "nbformat_minor"),
    "a minor version as text": NOTEBOOK | {"nbformat_minor": "5"},
    "attachments of code": cell(attachments={}),
    "outputs of text": text(outputs=[]),
    "count of text": text(execution_count=None),
    "stream metadata": cell(outputs=[STREAM | {"metadata": {}}]),
    "a stream without a name": cell(outputs=[without(STREAM, "name")]),
    "a number in lines": cell(outputs=[STREAM | {"text": ["a", 1]}]),
    "a list in lines": cell(source=[["a"], "b"]),
    "a negative count": cell(execution_count=-1),
    "half a count": cell(execution_count=0.5),
    "source as a number": cell(source=5),
    "no source": NOTEBOOK | {"cells": [without(CODE, "source")]},
    "no outputs": NOTEBOOK | {"cells": [without(CODE, "outputs")]},
    "outputs null": cell(outputs=None),
    "count as text": cell(execution_count="1"),
    "an id too long": cell(id="a" * 65),
    "an id with a space": cell(id="a b"),
    "an id as a number": cell(id=1),
    "an unknown cell": cell(cell_type="sql"),
    "a cell without a type": NOTEBOOK | {"cells": [without(CODE, "cell_type")]},
    "another key of a cell": cell(collapsed=True),
    "no metadata of a cell": NOTEBOOK | {"cells": [without(CODE, "metadata")]},
    "tags as text": cell(metadata={"tags": "a"}),
    "an id in format 4.4": cell() | {"nbformat_minor": 4},
    "an unknown output": cell(outputs=[{"output_type": "pyout"}]),
    "an output without a type": cell(outputs=[{"data": {}}]),
    "plain text as a number": shown(**{"text/plain": 1}),
    "a result without metadata": cell(outputs=[without(RESULT, "metadata")]),
    "a traceback as text": cell(outputs=[ERROR | {"traceback": "a"}]),
}


@pytest.mark.parametrize("content", REGULAR.values(), ids=REGULAR)
def test_what_is_valid_is_regular(content: dict[str, Any]) -> None:
    assert is_valid(content)
    assert findings(content) == []


@pytest.mark.parametrize("content", IRREGULAR.values(), ids=IRREGULAR)
def test_what_is_not_valid_is_accepted_with_one_finding(content: dict[str, Any]) -> None:
    assert not is_valid(content)
    assert len(findings(content)) == 1


def test_what_jupyter_only_warns_of_is_irregular() -> None:
    nameless = NOTEBOOK | {"cells": [without(CODE, "id"), without(TEXT, "id")]}
    assert findings(nameless) == [(None, "2 cells have no id")]
    assert findings(NOTEBOOK | {"cells": [CODE, TEXT]}) == [(1, "Has the id of a cell before")]


@pytest.mark.parametrize("minor", [6, 1000, 2**70])
def test_a_newer_minor_version_may_have_keys_of_its_own(minor: int) -> None:
    newer = cell(new=1) | {"nbformat_minor": minor, "also_new": 1}
    assert findings(newer) == [
        (None, "The format's minor version is newer than 4.5, the newest known here")
    ]


@pytest.mark.parametrize("major", [2, 3])
def test_worksheets_are_opened(major: int) -> None:
    cells = [{"cell_type": "code", "input": "", "outputs": [{"output_type": "pyout"}]}]
    sheets = [{"cells": cells}, {"cells": [{"cell_type": "heading", "level": 1}, {}]}]
    old = {"nbformat": major, "nbformat_minor": 0, "metadata": {}, "worksheets": sheets}
    first, *others = findings(old)
    assert first == (
        None,
        f"The notebook is in format {major}: Jupyter opens it as one in format 4",
    )
    assert others == [(2, "Has no type")]


def test_the_bytes_stay() -> None:
    sent = b'{"nbformat":4.0,"nbformat_minor":4,"cells":[],"metadata":{"a":[NaN,"\\ud800\\u0000"]}}'
    read = read_notebook(sent)
    assert read.sha256 == hashlib.sha256(sent).hexdigest()
    assert [each.finding for each in read.irregularities] == [
        "Has NaN or Infinity, which JSON hasn't: answers have null in place of them",
        "Has NUL characters, or halves of a pair of surrogates, in a text",
    ]


def test_twenty_findings_are_kept_and_the_others_counted() -> None:
    odd = NOTEBOOK | {"metadata": [], "cells": [without(CODE, "source") | {"id": "?"}] * 30}
    kept = findings(odd)
    assert len(kept) == MAX_FINDINGS + 1
    assert kept[0] == (None, "The metadata isn't an object")
    assert kept[-1] == (None, "And 41 more")


def test_a_finding_of_many_outputs_is_kept_once() -> None:
    outputs = [STREAM | {"metadata": {}}] * 30
    assert len(findings(cell(outputs=outputs))) == 1


@pytest.mark.parametrize(
    ("content", "todo"),
    [
        (cell(outputs=[DISPLAY] * (MAX_ELEMENTS + 1)), "clear its output"),
        (cell(outputs=[{}] * (MAX_ELEMENTS + 1)), "clear its output"),
        (NOTEBOOK | {"cells": [CODE] * (MAX_ELEMENTS + 1)}, "split it"),
        (
            NOTEBOOK | {"cells": [CODE | {"outputs": [{}] * 9_000}] * (MAX_OUTPUTS // 9_000 + 1)},
            "clear those of some cells",
        ),
    ],
)
def test_limits_say_what_to_do(content: dict[str, Any], todo: str) -> None:
    with pytest.raises(InvalidNotebook, match=todo):
        findings(content)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"{}"', b'{"nbformat":4}'])
def test_what_is_no_notebook_is_refused(content: bytes) -> None:
    with pytest.raises(
        InvalidNotebook, match=r"send the JSON object|save it, and hand it in again"
    ):
        findings(content)


def test_nesting_is_limited() -> None:
    deep = b'{"nbformat":4,"cells":[],"metadata":%s%s}' % (b"[" * 100_000, b"]" * 100_000)
    with pytest.raises(InvalidNotebook, match="nested too deep"):
        findings(deep)
