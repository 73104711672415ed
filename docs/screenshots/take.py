"""Takes the README's pictures from a running portal: `make screenshots` (URL=http://127.0.0.1:8000)."""

import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests import chromium

HERE = Path(__file__).parent
URL = os.environ.get("URL", "http://127.0.0.1:8000")
PASSWORD = os.environ.get("DEMONSTRATION_PASSWORD", "eaip-demonstration")
WIDTHS = {1440: 1000, 390: 844}
THEMES = ("light", "dark")


def main() -> int:
    with sync_playwright() as playwright, chromium.launch(playwright) as browser:
        for width, height in WIDTHS.items():
            for theme in THEMES:
                _take(browser, width=width, height=height, theme=theme)
    return 0


def _take(browser: Browser, *, width: int, height: int, theme: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, timezone_id="Europe/Berlin"
    )
    page = context.new_page()
    _sign_in(page, "engineering-manager")
    for name, address in _addresses(page).items():
        page.goto(URL + address, wait_until="load")
        page.wait_for_timeout(400)  # fonts and the first live message
        page.screenshot(path=HERE / f"{name}-{width}-{theme}.png")
    context.close()


def _sign_in(page: Page, name: str) -> None:
    page.goto(f"{URL}/")
    page.fill("[name=username]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("main form button:not([name])")
    page.wait_for_url(f"{URL}/")


def _addresses(page: Page) -> dict[str, str]:
    """Return what to take: the inbox's first promotion and the newest deployment stand for all."""
    page.goto(f"{URL}/approvals/")
    page.goto(URL + (page.locator("main a[href^='/approvals/promotions/']").first.get_attribute("href") or ""))
    release = page.locator("main a[href^='/releases/'][href$='/']").first.get_attribute("href")
    page.goto(f"{URL}/deployments/")
    deployment = page.locator("main tbody a[href^='/deployments/']").first.get_attribute("href")
    return {"dashboard": "/", "release": release or "/releases/", "deployment": deployment or "/deployments/",
            "environments": "/environments/", "audit": "/audit/"}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
