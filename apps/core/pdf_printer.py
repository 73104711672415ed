"""HTML in, PDF out: the child of `pdf.py`. It is given no address but that of the fonts and the style below."""

import resource
import sys
from pathlib import Path

import plutoprint

HERE = Path(__file__).resolve().parent
FONTS = HERE.parents[1] / "static/vendor/@fontsource-variable"
BASE = "document:/"
GIVEN = {
    f"{BASE}document.css": ("text/css", HERE / "document.css"),
    f"{BASE}sans.woff2": ("font/woff2", FONTS / "inter@5.3.0/inter-latin-wght-normal.woff2"),
    f"{BASE}mono.woff2": ("font/woff2", FONTS / "jetbrains-mono@5.3.0/jetbrains-mono-latin-wght-normal.woff2"),
}
LIMITS = {resource.RLIMIT_AS: 1 << 30, resource.RLIMIT_CPU: 30, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}


class Given(plutoprint.ResourceFetcher):
    def fetch_url(self, url: str) -> plutoprint.ResourceData:
        kind, path = GIVEN[url]
        return plutoprint.ResourceData(path.read_bytes(), kind, "utf-8")


def main() -> None:
    for limit, most in LIMITS.items():
        resource.setrlimit(limit, (most, most))
    book = plutoprint.Book(plutoprint.PAGE_SIZE_A4)
    book.custom_resource_fetcher = Given()
    book.load_html(sys.stdin.buffer.read().decode(), base_url=BASE)
    book.write_to_pdf_stream(sys.stdout.buffer)


if __name__ == "__main__":
    main()
