"""Release notes as HTML: what a package's author wrote is as hostile as any input."""

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

# No HTML of its own, no pictures from elsewhere; links that run something are refused by the parser itself.
_reader = MarkdownIt("commonmark", {"html": False}).disable(["image", "html_block", "html_inline"])


def to_html(text: str) -> SafeString:
    """This function will draw notes written in Markdown; other forms read well enough as such.

    Shapes: headings begin at the third level, below those of the page.
    """
    tokens = _reader.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = "h3" if token.tag in {"h1", "h2"} else "h4"
        for child in token.children or []:
            if child.type == "link_open":
                child.attrSet("rel", "noopener noreferrer nofollow")
    return mark_safe(_reader.renderer.render(tokens, _reader.options, {}))  # noqa: S308 the parser escapes all text
