"""Finds the pages of the portal by following its own links, one page for each view."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.urls import Resolver404, resolve
from playwright.sync_api import Page

LINKS = "() => [...document.querySelectorAll('a[href]')].filter(a => !a.hasAttribute('download')).map(a => a.href)"
# Not pages: downloads, streams, what ends the session, and the style guide, which has a test of its own.
SKIP = ("raw", "export", "download", "sign-", "styleguide", "live")


def pages(page: Page, root: str, *, visit: Callable[[str], None], limit: int = 90) -> list[str]:
    """This function will visit one page of each view that can be reached from the root; return the views' names."""
    seen: list[str] = []
    waiting = [f"{root}/"]
    while waiting and len(seen) < limit:
        url = waiting.pop(0)
        view = view_of(url, root)
        if view is None or view in seen:
            continue
        seen.append(view)
        visit(url)
        waiting += [link.split("#")[0] for link in page.evaluate(LINKS)]
    return seen


def view_of(url: str, root: str) -> str | None:
    if not url.startswith(root):
        return None
    try:
        name = resolve(urlsplit(url).path).view_name
    except Resolver404:
        return f"nothing at {urlsplit(url).path}"
    return None if any(word in name for word in SKIP) else name
