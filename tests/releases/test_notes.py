import pytest

from apps.releases import notes
from tests.world import HOSTILE


def test_markdown_becomes_html_below_the_pages_headings() -> None:
    html = notes.to_html("# 2.0\n\n* **New** thing\n\n[more](https://example.com/x)")

    assert "<h3>2.0</h3>" in html
    assert "<strong>New</strong>" in html
    assert '<a href="https://example.com/x" rel="noopener noreferrer nofollow">more</a>' in html


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        "<img src=x onerror=alert(1)>",
        "![pixel](https://example.com/pixel.png)",
        "[click](javascript:alert(1))",
        "[click](data:text/html,<script>alert(1)</script>)",
        '<a href="https://example.com" onclick="x">x</a>',
        "`</code><script>`",
    ],
)
def test_nothing_in_notes_runs_or_loads(text: str) -> None:
    html = notes.to_html(text)

    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript:' not in html
    assert 'href="data:' not in html
    assert "<a href" not in html or 'rel="noopener' in html
