import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.deployments import ansi

ESC = "\x1b"


@pytest.mark.parametrize(
    ("line", "html"),
    [
        ("plain", "plain"),
        (f"{ESC}[32mok{ESC}[0m done", '<span class="a-g">ok</span> done'),
        (f"{ESC}[1;31mfailed{ESC}[m", '<span class="a-B a-r">failed</span>'),
        (f"{ESC}[91mred{ESC}[39m plain", '<span class="a-r">red</span> plain'),
        (f"{ESC}[90mgrey", '<span class="a-d">grey</span>'),
        (f"{ESC}[1mbold{ESC}[22m not", '<span class="a-B">bold</span> not'),
        (f"{ESC}[38;5;10mbright{ESC}[0m", '<span class="a-g">bright</span>'),
        (f"{ESC}[38;5;8mgrey", '<span class="a-d">grey</span>'),
        (f"{ESC}[38;2;1;31;1mmixed", "mixed"),
        (f"{ESC}[38;2;220;50;47mmixed", '<span class="a-r">mixed</span>'),
        (f"{ESC}[1;38;2;30;90;220mmixed", '<span class="a-B a-b">mixed</span>'),
        (f"{ESC}[38:2:133:153:0mmixed", '<span class="a-y">mixed</span>'),
        (f"{ESC}[38;5;46mgreen", '<span class="a-g">green</span>'),
        (f"{ESC}[38;5;208morange", '<span class="a-y">orange</span>'),
        (f"{ESC}[38;5;51mcyan", '<span class="a-c">cyan</span>'),
        (f"{ESC}[38;5;244mgrey", '<span class="a-d">grey</span>'),
        (f"{ESC}[38;5;255mwhite", "white"),
        (f"{ESC}[38;2;999mcut short", '<span class="a-r">cut short</span>'),
        (f"{ESC}[48;5;1mon red", "on red"),
        (f"{ESC}[38;5mcut short", "cut short"),
        ("\x9b36mone byte", '<span class="a-c">one byte</span>'),
        ("10%\r55%\r100%\r\n", "100%"),
        ("a\tb", "a\tb"),
    ],
)
def test_colours_become_classes(line: str, html: str) -> None:
    assert ansi.to_html(line) == html


@pytest.mark.parametrize(
    ("line", "html"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        (f'{ESC}[31m<img src=x onerror="x">', '<span class="a-r">&lt;img src=x onerror=&quot;x&quot;&gt;</span>'),
        (f"{ESC}]8;;javascript:alert(1){ESC}\\click{ESC}]8;;{ESC}\\", "click"),
        (f"{ESC}]0;window title\x07after", "after"),
        (f"{ESC}]52;c;unfinished", ""),
        (f"{ESC}P1$r<b>{ESC}\\after", "after"),
        (f"{ESC}[2J{ESC}[1;1Hover", "over"),
        (f"{ESC}[?25lhidden cursor", "hidden cursor"),
        (f"{ESC}[31;1<script>m", "cript&gt;m"),
        (f"{ESC}[99999999999999999999mtext", "text"),
        (f"{ESC}(Bcharset", "charset"),
        (f"ends in {ESC}", "ends in "),
        ("bell\x07 null\x00 back\x08", "bell null back"),
        ("a\u202eb\u2066c", "a\ufffdb\ufffdc"),
    ],
)
def test_hostile_output_is_text_or_nothing(line: str, html: str) -> None:
    assert ansi.to_html(line) == html


@given(st.text(alphabet=st.sampled_from(f"{ESC}\x9b\x9d\x07\\[];:0123456789m<>&\"'ab\r"), max_size=60))
def test_no_line_makes_a_tag_of_its_own(line: str) -> None:
    html = ansi.to_html(line)

    assert re.sub(r'<span class="[a-zA-Z -]+">|</span>', "", html).count("<") == 0
    assert html.count("<span") == html.count("</span>")
    assert ESC not in html


def test_text_without_colours_is_what_is_read() -> None:
    assert ansi.plain(f"{ESC}[32m✓{ESC}[0m ready <b>") == "✓ ready <b>"


def test_a_text_to_search_has_no_colours_and_keeps_its_lines() -> None:
    assert ansi.text_of([f"{ESC}[32mo{ESC}[0mk", "b"]) == "ok\nb"
    assert ansi.text_of([f"a{ESC}]0;title\x07b", f"c{ESC}[2Kd\te"]) == "ab\ncd\te"
