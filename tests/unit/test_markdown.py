"""Markdown as HTML that does no harm."""

import re
import time
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.lms.markdown import MAX_FORMULAS, MAX_LENGTH, markdown_cells
from tests.support.lms import notebook

TAG = re.compile(r"<[a-z][^>]*>")
HARMLESS = re.compile(
    r'<(blockquote|br|code|del|em|h[1-6]|hr|li|ol( start="\d+")?|p|pre|s|strong|table|tbody|td|th'
    r'|thead|tr|ul|a( href="(https?:|mailto:)[^"]*")?( title="[^"]*")?'
    r' target="_blank" rel="noopener noreferrer")>'
)
HARMLESS_TAGS = {"a", "code", "img", "math", "mi", "mn", "mo", "mrow", "mstyle", "mtext", "p"}
HARMLESS_ATTRIBUTES = {
    *("href", "title", "target", "rel", "alt", "data-attachment", "display", "mathvariant"),
    "stretchy",
}
TEXT = (
    "# 見出し\n\n**太字** and `code`\n\n- one\n\n```python\nx < 1\n```\n\n"
    "| a |\n|---|\n| 1 |\n\n[link](https://example.com)"
)


class Elements(HTMLParser):
    """The elements of a text, each with its attributes, as an independent parser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def html(*sources: str) -> list[str | None]:
    return markdown_cells(msgspec.json.encode(notebook(*sources)))


def test_what_markdown_can_say_is_shown() -> None:
    (shown,) = html(TEXT)
    assert shown is not None
    for part in ("<h1>見出し</h1>", "<strong>太字</strong>", "<code>code</code>", "<li>one</li>"):
        assert part in shown
    assert "<pre><code>x &lt; 1\n</code></pre>" in shown
    assert "<td>1</td>" in shown
    assert '<a href="https://example.com" target="_blank" rel="noopener noreferrer">' in shown


@pytest.mark.parametrize(
    "source",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<!-- --><iframe src=//evil.example></iframe>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&#58;alert(1))",
        "[x](java&#10;script:alert(1))",
        "[x](vbscript:x)",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](data:image/png;base64,AAAA)",
        "[x](/api/v1/students)",
        "[x](//evil.example)",
        "<javascript:alert(1)>",
        "[x][1]\n\n[1]: javascript:alert(1)",
        '[x](https://example.com "\\" onclick=alert(1) x=\\"")',
        "![x](https://evil.example/pixel.png)",
        "![<img src=x onerror=alert(1)>](x)",
        "[![x](https://evil.example/pixel.png)](javascript:alert(1))",
        "```<script>\n</code></pre><script>alert(1)</script>\n```",
        "| <b onclick=alert(1)> |\n|---|\n| <script>alert(1)</script> |",
        "> " * 90 + "<script>alert(1)</script>",
        "[" * 5_000 + "x",
    ],
)
def test_hostile_markdown_does_no_harm(source: str) -> None:
    (shown,) = html(source)
    assert [tag for tag in TAG.findall(shown or "") if not HARMLESS.fullmatch(tag)] == []


def test_what_was_written_as_html_stays_text() -> None:
    (shown,) = html("a <b>x</b>\n\n<script>\nalert(1)\n</script>\n\n`<i>`")
    assert shown is not None
    for part in ("&lt;b&gt;x&lt;/b&gt;", "&lt;script&gt;", "alert(1)", "<code>&lt;i&gt;</code>"):
        assert part in shown


@given(st.text("<>()[]!`*_#|-:\\\"'&; \nascriptjvhtp/x1=", max_size=60))
def test_whatever_is_written_only_harmless_tags_are_made(source: str) -> None:
    (shown,) = html(source)
    assert [tag for tag in TAG.findall(shown or "") if not HARMLESS.fullmatch(tag)] == []


def test_only_markdown_and_not_without_end_is_rendered() -> None:
    assert markdown_cells(msgspec.json.encode(notebook("# x", kind="code"))) == [None]
    assert html("> " * 200, "# x") == [None, "<h1>x</h1>\n"]
    assert html("<div>\n" + ">" * 200 + " x") == [None]  # deep once the tag is text
    assert html("# a", "x" * MAX_LENGTH, "# b") == ["<h1>a</h1>\n", None, None]
    broken = msgspec.json.encode(notebook("@")).replace(b"@", b"\\ud800")
    assert markdown_cells(broken) == ["<p>�</p>\n"]


def only(source: str) -> str:
    (shown,) = html(source)
    assert shown is not None
    return shown


@pytest.mark.parametrize(
    ("source", "display"),
    [
        ("the sum $a_1 * b_1 * c$ here", "inline"),
        (r"the sum \(a_1 * b_1 * c\) here", "inline"),
        ("$$\na_1 * b_1 * c\n$$", "block"),
        (r"\[a_1 * b_1 * c\]", "block"),
        ("\\begin{align}\na_1 &= b_1 \\\\\n&* c\n\\end{align}", "block"),
        ("| a |\n|---|\n| $a_1 * |b_1| * c$ |", "inline"),
        ("関数$a_1 * b_1 * c$は", "inline"),
    ],
)
def test_formulas_are_mathml(source: str, display: str) -> None:
    shown = only(source)
    assert f'<math display="{display}">' in shown
    assert "<msub><mi>a</mi><mn>1</mn></msub>" in shown
    assert "<em>" not in shown
    assert "\ufdd0" not in shown


@pytest.mark.parametrize(
    "source",
    [
        "`$x$` and `\\(x\\)`",
        "```\n$x$ and \\[x\\]\n```",
        "    $x$",
        "$5 and $6",
        "US$5, US$6 or $5/$10",
        "\\$x\\$",
        "$ x $",
        "$x\n\ny$",
        "\\begin{document}x\\end{document}",
        "$x",
    ],
)
def test_what_is_no_formula_stays_text(source: str) -> None:
    assert "<math" not in only(source)


@pytest.mark.parametrize(
    "formula",
    [
        r"a \right)",
        "x^",
        r"\def\a{xx}\a",
        "\\newcommand{\\a}{xx}\\a",
        "{" * 900,
        r"\sqrt{" * 100 + "}" * 100,
        "x" * 2_100,
    ],
)
def test_a_formula_that_cannot_be_converted_is_shown_as_written(formula: str) -> None:
    assert only(f"a $${formula}$$") == f"<p>a <code>$${formula}$$</code></p>\n"


@pytest.mark.parametrize(
    "formula",
    [
        r"\text{<script>alert(1)</script>}",
        r"\text{&lt;img src=x onerror=alert(1)&gt;}",
        r"\href{javascript:alert(1)}{x}",
        r"\style{position:fixed}{x}",
        r"\class{toast}{x}",
        r"\mathrm{<svg/onload=alert(1)>}",
        r"x<img src=x onerror=alert(1)>",
    ],
)
def test_a_hostile_formula_does_no_harm(formula: str) -> None:
    for source in (
        f"${formula}$",
        f"[x](https://example.com/${formula}$)",
        f'[x](https://example.com "${formula}$")',
        f"![${formula}$](attachment:a.png)",
        f"![a](attachment:${formula}$)",
    ):
        reader = Elements()
        reader.feed(only(source))
        for tag, attributes in reader.elements:
            assert tag in HARMLESS_TAGS
            assert attributes.keys() <= HARMLESS_ATTRIBUTES
            assert (attributes.get("href") or "https:").startswith("https:")


@given(st.text("$$$<>()[]!`*_^{}\\\"'&; \nascriptonfrac/x1=", max_size=60))
def test_whatever_is_written_in_formulas_only_harmless_elements_are_made(source: str) -> None:
    reader = Elements()
    reader.feed(html(source)[0] or "")
    for tag, attributes in reader.elements:
        assert tag not in ("script", "style", "svg", "iframe")
        assert not {"style", "class", "src", "xmlns"} & attributes.keys()
        assert [name for name in attributes if name.startswith("on")] == []
        assert (attributes.get("href") or "https:").startswith(("http:", "https:", "mailto:"))


def test_formulas_are_bounded_in_number_and_time() -> None:
    started = time.monotonic()
    shown = only("$x$ " * (MAX_FORMULAS + 5))
    assert shown.count("<math") == MAX_FORMULAS
    assert shown.endswith("$x$ $x$ $x$ $x$ $x$</p>\n")
    for unit in ("\\[", "$a", "$a ", "\\begin{align}", "<img src=", "$$", "![](embedded:"):
        html(unit * (MAX_LENGTH // len(unit)))
    assert time.monotonic() - started < 10


def test_pictures_of_the_cell_are_named_and_no_others() -> None:
    source = '![写真](attachment:my%20photo.png) ![x](attachment:a"b.png) ![他](https://evil.example/x.png)'
    shown = only(source)
    assert re.findall(r"<img[^>]*>", shown) == [
        '<img data-attachment="my photo.png" alt="写真">',
        '<img data-attachment="a&quot;b.png" alt="x">',
    ]
    assert "他" in shown
    assert "evil" not in shown
    assert only("![](./a%20b.jpeg)") == "<p>./a b.jpeg</p>\n"
    assert (
        only("![](https://evil.example/%3Cscript%3E)")
        == "<p>https://evil.example/&lt;script&gt;</p>\n"
    )


def test_a_resized_picture_of_the_cell_is_shown() -> None:
    shown = only('<p align="center">\n<img src="attachment:an image.png" width="300"/></p>')
    assert '<img data-attachment="an image.png" alt="">' in shown
    assert "&lt;p align=" in shown


def test_pictures_in_the_text_cost_no_length() -> None:
    data = f"data:image/png;base64,{'A' * MAX_LENGTH}="
    shown = only(f"![a]({data}) then ![b]({data})")
    assert '<img data-embedded="0" alt="a"> then <img data-embedded="1" alt="b">' in shown


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ({}, []),
        ({"cells": None}, []),
        ({"cells": [5, {}, {"cell_type": "markdown"}]}, [None, None, ""]),
        ({"cells": [{"cell_type": "markdown", "source": [1, "a", None]}]}, ["<p>a</p>\n"]),
        ({"cells": [{"cell_type": ["markdown"], "source": {}}]}, [None]),
        (
            {
                "worksheets": [
                    {"cells": [{"cell_type": "markdown", "source": ["a", "b"]}]},
                    {"cells": [{"cell_type": "markdown", "source": ["a\n", "b"]}]},
                    5,
                    {"cells": [{"cell_type": "heading", "level": 2, "source": "b"}]},
                ]
            },
            ["<p>a\nb</p>\n", "<p>a\nb</p>\n", "<h2>b</h2>\n"],
        ),
    ],
)
def test_irregular_notebooks_are_rendered_as_far_as_they_go(
    content: dict[str, Any], shown: list[str | None]
) -> None:
    assert markdown_cells(msgspec.json.encode(content)) == shown


def test_a_notebook_that_is_nested_too_deep_has_no_html() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert markdown_cells(b'{"metadata": %b, "cells": []}' % deep) == []
    assert markdown_cells(b'{"cells": [{"cell_type": "markdown", "source": %b}]}' % deep) == []


def test_not_a_number_is_no_obstacle() -> None:
    content = b'{"metadata": NaN, "cells": [{"cell_type": "markdown", "source": "NaN"}]}'
    assert markdown_cells(content) == ["<p>NaN</p>\n"]
