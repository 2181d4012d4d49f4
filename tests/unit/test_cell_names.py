"""What a cell is called."""

import pytest

from monitor.insight.cell_names import CellName, cell_name, cell_title


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("x = 1", "x = 1"),
        ("\n\n   for w in  words:\n    print(w)", "for w in words:"),
        ("# Exercise 3\n\nanswer = 1", "answer = 1"),
        ("// js\nlet a = 1", "let a = 1"),
        ("-- SQL\nSELECT 1", "SELECT 1"),
        ("%%time\nx = 1", "x = 1"),
        ("%matplotlib inline\nx = 1", "%matplotlib inline"),
        ("# Exercise 3\n# write here", "Exercise 3"),
        ("#\n", None),
        ("   \n", None),
        ("", None),
        (None, None),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
    ],
)
def test_a_title_is_the_first_line_of_code(code: str | None, title: str | None) -> None:
    assert cell_title(code) == title


def test_a_text_is_called_by_its_first_line() -> None:
    assert cell_title("## Loops\nWe go on.", "markdown") == "Loops"
    assert cell_title("We go on.\n# Loops", "markdown") == "We go on."


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("# Lists\ntext\n## Comprehensions ##\nmore", "Comprehensions"),
        ("text", None),
        ("#hashtag\n#", None),
        ("# Shell\n```\n# a comment\n```", "Shell"),
        ("# Shell\n~~~\n```\n# a comment\n~~~\n## After", "After"),
        ("   ### 内包表記", "内包表記"),
        ("    # code", None),
        (None, None),
    ],
)
def test_a_heading_is_the_last_of_the_text(text: str | None, heading: str | None) -> None:
    assert cell_name("x", "code", text) == CellName("x", heading)
