"""Markdown as HTML that does no harm."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.lms.markdown import MAX_LENGTH, markdown_cells
from tests.support.lms import notebook

TAG = re.compile(r"<[a-z][^>]*>")
HARMLESS = re.compile(
    r'<(blockquote|br|code|del|em|h[1-6]|hr|li|ol( start="\d+")?|p|pre|s|strong|table|tbody|td|th'
    r'|thead|tr|ul|a( href="(https?:|mailto:)[^"]*")?( title="[^"]*")?'
    r' target="_blank" rel="noopener noreferrer")>'
)
TEXT = (
    "# 見出し\n\n**太字** and `code`\n\n- one\n\n```python\nx < 1\n```\n\n"
    "| a |\n|---|\n| 1 |\n\n[link](https://example.com)"
)


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
