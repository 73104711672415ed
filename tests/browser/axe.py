"""Accessibility by axe-core, in every width and theme that people use; vendored, so that no test needs the network."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from playwright.sync_api import Page

WIDTHS = (1440, 390)
THEMES = ("light", "dark")
NARROWEST = 320
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# The other theme has other colours and nothing else, so that these are what it can break.
RULES_OF_COLOUR = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
RUN = """rules => axe.run(document, {runOnly: rules, resultTypes: ["violations"], selectors: false}).then(result => ({
    judged: result.passes.length + result.violations.length,
    found: result.violations.flatMap(rule => rule.nodes.map(node =>
        `${rule.id}: ${node.html.slice(0, 160)} (${(node.any[0] || node.all[0] || node.none[0] || {}).message})`))}))"""
WIDEST = """() => [...document.querySelectorAll('body *')]
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
    .filter(each => !each.closest('.scroll-x, .log, .diff, .cmd'))
    .slice(0, 3).map(each => each.outerHTML.slice(0, 120))"""

# What is hidden from the eye inside of a box that scrolls may still make the document longer.
EMPTY_BELOW = """() => document.documentElement.scrollHeight
    - Math.max(innerHeight, document.body.getBoundingClientRect().bottom + scrollY)"""


@cache
def _script() -> str:
    return next((Path(__file__).parents[1] / "vendor").glob("axe-core@*/axe.min.js")).read_text()


def findings(page: Page) -> Iterator[str]:
    """This function will name every violation on the page as it stands in each theme, and leave it in the dark one."""
    page.evaluate(_script())
    for theme in THEMES:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        is_first = theme == THEMES[0]
        result = page.evaluate(RUN, RULES if is_first else RULES_OF_COLOUR)
        assert result["judged"] > (5 if is_first else 0), "axe found nothing to check"
        yield from (f"{theme} {finding}" for finding in result["found"])


def findings_as_it_stands(page: Page) -> Iterator[str]:
    """This function will name every violation in each width and theme, and what scrolls sideways; it loads nothing."""
    for width in (*WIDTHS, NARROWEST):
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            yield f"{width} scrolls sideways: {page.evaluate(WIDEST)}"
        if width in WIDTHS:
            yield from (f"{width} {finding}" for finding in findings(page))


def assert_fit_for_everyone(page: Page, url: str) -> None:
    assert findings_in_every_form(page, url) == []


def findings_in_every_form(page: Page, url: str) -> list[str]:
    """This function will open the address in each width and theme; name violations, and what scrolls for nothing."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(url)
        found += [f"{width} {finding}" for finding in findings(page)]
        if page.evaluate(EMPTY_BELOW) > 1:
            found.append(f"{width}: an empty stretch of {page.evaluate(EMPTY_BELOW):.0f} px below the page")
    page.set_viewport_size({"width": NARROWEST, "height": 800})
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append(f"{NARROWEST}: scrolls sideways: {page.evaluate(WIDEST)}")
    return found
