"""Codes in coloured lines: nothing is lost, nothing takes long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.insight.code_lines import CodeLine
from monitor.insight.comparing import MAX_LINES, CodeLines
from monitor.insight.highlighting import MAX_CHARACTERS, highlighted_lines, language_of, text_of

CODE = '''@cache
def mean(values):  # 平均
    """Of numbers."""
    return sum(values) / 2 if values else None
'''
HOSTILE = (
    "(" * 2_500 + ")" * 2_500,
    "'" * 5_000,
    '"""' * 1_666,
    "f'{" * 1_600,
    "\\" * 5_000,
    "'\\" * 2_500,
    "a" * 5_000,
    "a." * 2_500,
    "1e" * 2_500,
    "0x_" * 1_600,
    " " * 5_000,
    "\t \n" * 1_600,
    "@" * 5_000,
    "%%bash\n" + "$(" * 2_400,
    "/*" * 2_500,
    "%" * 5_000,
    "def " * 1_250,
    "import a." * 500,
    "#" * 5_000,
    "`" * 5_000,
    "<<E\n" * 1_250,
    "a\n" * 2_500,
    "$a{" * 1_600,
    "[[" * 2_500,
    "'''" + "\\'" * 2_400,
)
LANGUAGES = ("python", "r", "julia", "java", "bash", "sql", "javascript")


def kinds(code: str, kernel: str | None = None) -> dict[str, str | None]:
    lines = CodeLines().of(code, None, kernel)
    return {span.text: span.kind for line in lines for span in line.spans}


def text(lines: list[CodeLine], *changes: str) -> str:
    return "\n".join(
        "".join(span.text for span in line.spans) for line in lines if line.change in changes
    )


def test_python_has_its_colours() -> None:
    found = kinds(CODE)
    assert found["def"] == found["return"] == found["if"] == "keyword"
    assert found["mean"] == "name"
    assert found["sum"] == found["@cache"] == "builtin"
    assert found["# 平均"] == "comment"
    assert found['"""Of numbers."""'] == "string"
    assert found["2"] == "number"


@pytest.mark.parametrize(
    ("code", "kernel", "language"),
    [
        ("x", None, "python"),
        ("x", "python3", "python"),
        ("x", "ir", "r"),
        ("x", "julia-1.10", "julia"),
        ("x", "Java", "java"),
        ("x", "xeus-cling", "python"),
        ("%%bash\nls", "python3", "bash"),
        ("%%timeit\nx", "ir", "r"),
    ],
)
def test_the_language_is_that_of_the_magic_or_the_kernel(
    code: str, kernel: str | None, language: str
) -> None:
    assert language_of(code, kernel) == language


@given(st.text(max_size=200), st.sampled_from(LANGUAGES))
def test_no_character_of_a_code_is_lost(code: str, language: str) -> None:
    lines = [text_of(line) for line in highlighted_lines(code, language)]
    ended = code.replace("\r\n", "\n").replace("\r", "\n")
    assert "\n".join(lines) == ended.removesuffix("\n")


@given(st.text(alphabet="ab\n '", max_size=60), st.text(alphabet="ab\n '", max_size=60))
def test_both_codes_can_be_read_from_their_lines(old: str, new: str) -> None:
    lines = CodeLines().of(new, old)
    assert text(lines, "same", "added") == new.removesuffix("\n")
    assert text(lines, "same", "removed") == old.removesuffix("\n") or old == new


def test_the_words_that_changed_are_marked() -> None:
    lines = CodeLines().of("x = 1\nprint(total)\n", "x = 1\nprint(sum)\n")
    assert [line.change for line in lines] == ["same", "removed", "added"]
    marked = [[span.text for span in line.spans if span.changed] for line in lines]
    assert marked == [[], ["sum"], ["total"]]


def test_the_same_code_is_unchanged_and_the_first_is_no_change() -> None:
    for before in (None, CODE):
        assert {line.change for line in CodeLines().of(CODE, before)} == {"same"}


def test_long_codes_are_compared_without_colours_and_cut() -> None:
    code = "\n".join(f"x = {n}" for n in range(2_000))
    lines = CodeLines().of(code, code.replace("x = 3\n", "y = 3\n"))
    assert len(lines) == MAX_LINES + 1
    assert {span.kind for line in lines for span in line.spans} == {None}
    assert text(lines, "added") == "x = 3"


def test_one_answer_has_a_bound_of_the_time_for_colours() -> None:
    lines = CodeLines()
    coloured = []
    for n in range(1_000, 1_500):
        shown = lines.of(f"x = {n}\n" * 400, None)
        coloured.append(any(span.kind for line in shown for span in line.spans))
    assert coloured[0]
    assert not coloured[-1]
    assert coloured == sorted(coloured, reverse=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_codes_take_no_long(language: str) -> None:
    for code in HOSTILE:
        start = time.process_time()
        highlighted_lines(code[:MAX_CHARACTERS], language)
        taken = time.process_time() - start
        assert taken < 3, (code[:20], taken)
