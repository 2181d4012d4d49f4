"""What a submitted notebook shows: pictures, formulas, tables and long outputs."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.page import view_url, violations
from tests.support.browser import open_tab
from tests.support.lms import create, create_assignment, create_class_of
from tests.support.replicas import Replica

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
GIF = "R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs="
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60" onload="alert(1)">'
    "<script>alert(2)</script><circle cx='45' cy='30' r='25' fill='teal'/>"
    '<image href="https://evil.example/x.png" width="9" height="9"/></svg>'
)
HOSTILE_TABLE = (
    "<style>body { display: none }</style><div style='position: fixed'>"
    "<table onclick='alert(1)' border=1 class='toast' style='position: fixed'>"
    "<thead><tr><th></th><th onmouseover=alert(2)>点</th></tr></thead><tbody><tr><th>0</th>"
    "<td colspan=2><a href='javascript:alert(3)'>link</a><script>alert(4)</script>"
    "<img src=https://evil.example/x.png onerror=alert(5)><style>* { color: red }</style>"
    "<form action=https://evil.example><button>go</button></form><svg onload=alert(6)></svg></td>"
    "</tr></tbody></table></div><iframe src=https://evil.example></iframe><script>alert(7)</script>"
)
FORMULAS = r"""## 公式

面積は $S = \pi r^2$、平均は \(\bar{x} = \frac{1}{n} \sum_{i=1}^n x_i\) です。It costs $5 and $6.

$$\int_{-\infty}^{\infty} e^{-x^2} dx = \sqrt{\pi}$$

\begin{align}
a_1 &= b_1 + c_1 \\
a_2 &= b_2 + c_2 - d_2
\end{align}

\[A = \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}, \quad
|x| = \begin{cases} x & x \ge 0 \\ -x & x < 0 \end{cases}\]

`$x$` and $\right)$
"""


def text_cell(source: str, **fields: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source} | fields


def code_cell(*outputs: dict[str, Any], source: str = "run()") -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {},
        "execution_count": 1,
        "source": source,
        "outputs": list(outputs),
    }


def data(**by_type: Any) -> dict[str, Any]:
    """An output; `image_png` is the media type image/png."""
    known = {name.replace("_", "/", 1): each for name, each in by_type.items()}
    return {"output_type": "display_data", "metadata": {}, "data": known}


def svg_data(svg: str) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": svg}}


def stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def error_output(message: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": "E", "evalue": message, "traceback": []}


def pandas_table(rows: int) -> str:
    body = "".join(f"<tr><th>{n}</th><td>{n * n}</td><td>山田 {n}</td></tr>" for n in range(rows))
    return (
        "<div>\n<style scoped>\n .dataframe tbody tr th { vertical-align: top; }\n</style>\n"
        '<table border="1" class="dataframe"><thead><tr style="text-align: right;">'
        "<th></th><th>点</th><th>名前</th></tr>"
        f"</thead><tbody>{body}</tbody></table>\n<p>{rows} rows × 2 columns</p></div>"
    )


@asynccontextmanager
async def submission_tab(
    school: Replica, api: httpx.AsyncClient, browser: Browser, *cells: Any, **context: str
) -> AsyncIterator[Page]:
    """The page of a submission of these cells. Fails if it asks another site for anything."""
    class_id, _, (student,) = await create_class_of(api, "hanako")
    content = {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    assignment = (await create_assignment(api, class_id=class_id))["id"]
    submission = await create(
        api, "/submissions", assignment_id=assignment, student_id=student, notebook_content=content
    )
    async with open_tab(browser, view_url(school, class_id), **context) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(view_url(school, class_id, f"submission/{submission['id']}"))
        await expect(page.locator(".notebook .cell")).to_have_count(len(cells))
        yield page
        assert [url for url in asked if not url.startswith((school.url, "data:"))] == []


async def test_pictures_of_a_submission_are_shown_and_run_nothing(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    cells = [
        text_cell(
            "![写真](attachment:my%20photo.png) ![図](attachment:a.svg)"
            f" ![c](data:image/png;base64,{PNG})\n\n"
            '<img src="attachment:my photo.png" width="200">',
            attachments={
                "my photo.png": {"image/png": PNG},
                "a.svg": {"image/svg+xml": b64encode(SVG.encode()).decode()},
            },
        ),
        code_cell(data(image_png=[PNG[:40] + "\n", PNG[40:]]), data(image_gif=GIF)),
        code_cell(svg_data(SVG), svg_data("<svg")),
        text_cell("![gone](attachment:gone.png) ![x](attachment:toString)", attachments={}),
    ]
    async with submission_tab(school, api, browser, *cells) as page:
        shown = page.locator(".notebook img")
        await expect(shown).to_have_count(7)
        widths = await shown.evaluate_all(
            "each => Promise.all(each.map(async (img) =>"
            "  (await img.decode().catch(() => 0), img.naturalWidth)))"
        )
        assert widths == [1, 90, 1, 1, 1, 1, 90]
        await expect(shown.first).to_have_attribute("alt", "写真")
        await expect(page.locator(".code .hint")).to_have_text("A picture that can't be shown.")
        await expect(page.locator(".notebook .cell").last).to_contain_text(
            "The picture gone.png isn't in the notebook."
        )
        assert await page.locator(".notebook :is(svg, script, circle)").count() == 0


async def test_formulas_of_a_submission_are_set(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    async with submission_tab(school, api, browser, text_cell(FORMULAS)) as page:
        shown = page.locator(".markdown math")
        await expect(shown).to_have_count(5)
        namespaces = await shown.evaluate_all("each => each.map((math) => math.namespaceURI)")
        assert set(namespaces) == {"http://www.w3.org/1998/Math/MathML"}
        fraction = await page.locator(".markdown mfrac").first.bounding_box()
        assert fraction is not None
        assert fraction["height"] > fraction["width"]  # one above the other
        await expect(page.locator(".markdown")).to_contain_text("It costs $5 and $6.")
        await expect(page.locator(".markdown code")).to_have_text(["$x$", r"$\right)$"])
        assert await violations(page) == []


async def test_tables_of_a_submission_have_only_their_text(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    cells = [
        code_cell(data(text_html=HOSTILE_TABLE, text_plain="plain")),
        code_cell(data(text_html=pandas_table(2), text_plain="plain")),
        code_cell(
            data(text_html="<b onclick=alert(1)>Answer</b>: style=5<script>alert(2)</script>",
                 text_plain="<IPython.core.display.HTML at 0x1f>")
        ),
    ]  # fmt: skip
    async with submission_tab(school, api, browser, *cells) as page:
        tables = page.locator(".notebook table")
        await expect(tables).to_have_count(2)
        await expect(tables.first.locator("td")).to_have_text("linkgo")
        await expect(tables.last.locator("tr")).to_have_text(["点名前", "00山田 0", "11山田 1"])
        await expect(page.locator(".notebook pre.output")).to_have_text("Answer: style=5")
        elements = await page.locator(".notebook").evaluate(
            "root => [...root.querySelectorAll('*')].flatMap("
            "  (each) => [each.localName, ...[...each.attributes].map(({ name }) => name)])"
        )
        assert not {"script", "style", "a", "img", "svg", "iframe", "form", "href"} & {*elements}
        assert [each for each in elements if each.startswith("on")] == []


async def test_a_wide_table_is_scrolled_and_no_short_word_is_broken(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    row = "".join(f"<td>{word}</td>" for word in ["Kazakhstan", "15777451.0", "x" * 90] * 6)
    table = f"<table><tbody><tr>{row}</tr></tbody></table>"
    async with submission_tab(school, api, browser, code_cell(data(text_html=table))) as page:
        cells = page.locator(".notebook td")
        heights = await cells.evaluate_all(
            """cells => cells.map((cell) => {
                const range = document.createRange();
                range.selectNodeContents(cell);
                return new Set([...range.getClientRects()].map(({ top }) => top)).size;
            })"""
        )
        assert heights[:2] == [1, 1]
        assert heights[2] > 1
        scrolled = page.locator(".notebook .scroll")
        assert await scrolled.evaluate("each => each.scrollWidth > each.clientWidth")
        assert await page.evaluate("document.body.scrollWidth <= innerWidth")


async def test_what_cannot_be_shown_is_said_or_shown_as_it_is_written(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    outputs = [
        data(application_json={"a": [1, 2]}),
        data(text_markdown="**so**"),
        data(text_html="<script>alert(1)</script>"),
        data(application_javascript=["alert(2)"]),
        {"output_type": "display_data", "metadata": {}, "data": {}},
        stream(""),
    ]
    async with submission_tab(school, api, browser, code_cell(*outputs)) as page:
        await expect(page.locator(".notebook pre.output")).to_have_text(
            ['{\n  "a": [\n    1,\n    2\n  ]\n}', "**so**"]
        )
        await expect(page.locator(".notebook .hint")).to_have_text(
            [
                "An output that can't be shown here (text/html).",
                "An output that can't be shown here (application/javascript).",
            ]
        )


async def test_long_outputs_are_cut_until_they_are_asked_for(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    cells = [
        code_cell(data(text_html=pandas_table(5_000))),
        code_cell(stream("\n".join(f"line {n}" for n in range(10_000)))),
        code_cell(stream("0123456789" * 5_000)),
        code_cell(data(text_html=f"<table><tr>{'<td colspan=9999>x' * 3_000}</table>")),
        code_cell(error_output("\x1b[31mred\x1b[0m")),
        code_cell(stream("\r".join(f"{n} %" for n in range(300_000)) + "\ndone\n")),
    ]
    async with submission_tab(school, api, browser, *cells) as page:
        long_table, lines, long_line, wide, error, progress = await page.locator(
            ".notebook .cell"
        ).all()
        await expect(long_table.locator("tr")).to_have_count(21)
        await expect(long_table).to_contain_text(
            "Only the first 2000 rows and 3 columns are shown."
        )
        await long_table.get_by_role("button", name="Show all 2000 rows").click()
        await expect(long_table.locator("tr")).to_have_count(2_001)
        await expect(long_table.get_by_role("button")).to_have_count(0)

        await expect(lines.locator("pre.output")).not_to_contain_text("line 60")
        await lines.get_by_role("button", name="Show all 10000 lines").click()
        await expect(lines.locator("pre.output")).to_contain_text("line 9999")
        await expect(lines.locator("pre.output")).to_be_focused()

        assert len(await long_line.locator("pre.output").inner_text()) == 8_000
        await long_line.get_by_role("button").click()
        assert len(await long_line.locator("pre.output").inner_text()) == 50_000

        await expect(wide.locator("td")).to_have_count(100)
        await expect(error.locator("pre.error")).to_have_text("E: red")
        await expect(progress.locator("pre.output")).to_contain_text("%")
        await expect(progress).to_contain_text("Only the first 1000000 characters were read.")
        width = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_what_is_irregular_about_a_submission_is_listed(
    school: Replica, api: httpx.AsyncClient, browser: Browser, language: str
) -> None:
    """The answer is changed on its way: what is irregular is found elsewhere."""

    class_id, _, (student,) = await create_class_of(api, "hanako")
    assignment = (await create_assignment(api, class_id=class_id))["id"]
    submission = await create(
        api,
        "/submissions",
        assignment_id=assignment,
        student_id=student,
        notebook_content={
            "cells": [text_cell("# x")],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 4,
        },
    )
    async with open_tab(browser, view_url(school, class_id, query=f"?lang={language}")) as page:
        answer = submission | {
            "irregularities": [{"cell": 0, "finding": "<b>odd"}, {"cell": None, "finding": "old"}]
        }
        await page.route(
            f"**/submissions/{submission['id']}", lambda route: route.fulfill(json=answer)
        )
        await page.evaluate(f"location.hash = '#/class/{class_id}/submission/{submission['id']}'")
        shown = page.locator(".irregularities")
        await expect(shown.locator("summary")).to_have_text(
            {
                "en": "2 irregularities in this file",
                "ja": "このファイルの形式に通常と異なる点が 2 件あります",
            }[language]
        )
        await expect(shown.locator("li").first).to_be_hidden()
        await shown.locator("summary").click()
        await expect(shown.locator("li").first).to_contain_text("<b>odd")
        await expect(shown.locator("li").last).to_have_text("old")


async def test_a_submission_of_format_3_and_odd_cells_are_shown_as_far_as_they_go(
    school: Replica, api: httpx.AsyncClient, browser: Browser
) -> None:
    old = {"cell_type": "code", "input": ["a = 1", "a"], "prompt_number": 7, "outputs": []}
    outputs = [
        {"output_type": "pyout", "png": PNG},
        {"output_type": "pyerr", "ename": "KeyError", "evalue": "'x'"},
        {"output_type": "stream", "text": ["a", 5, "b"]},
        {"output_type": "error", "traceback": ["only", "this"]},
        {"output_type": "display_data", "data": [5]},
        5,
    ]
    cells = [5, None, {"cell_type": "markdown"}, {"source": ["x", {}], "outputs": 5}]
    sheet = {"cells": [old | {"outputs": outputs}, *cells]}
    content = {"nbformat": 3, "nbformat_minor": 0, "worksheets": [sheet, None]}
    class_id, _, (student,) = await create_class_of(api, "hanako")
    assignment = (await create_assignment(api, class_id=class_id))["id"]
    submission = await create(
        api, "/submissions", assignment_id=assignment, student_id=student, notebook_content=None
    )
    path = f"submissions/{submission['id']}"
    async with open_tab(browser, view_url(school, class_id)) as page:
        answer = submission | {"notebook_content": content}
        await page.route(f"**/{path}", lambda route: route.fulfill(json=answer))
        await page.evaluate(f"location.hash = '#/class/{class_id}/submission/{submission['id']}'")
        shown = page.locator(".notebook .cell")
        await expect(shown).to_have_count(5)
        await expect(shown.first.locator("pre")).to_have_text(
            ["a = 1\na", "KeyError: 'x'", "a\nb", "only\nthis"]
        )
        await expect(shown.first.locator(".count")).to_have_text("In [7]")
        await expect(shown.first.locator("img")).to_have_count(1)
        await expect(shown.last.locator("pre")).to_have_text("x")
