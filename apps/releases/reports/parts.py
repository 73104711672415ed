"""What the readers of parts lists have in common: which components are kept, and how one is known again."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from packageurl import PackageURL

from apps.releases.reports import Unreadable, documents

# A list of more would take a web server's time to read, and nobody's interest.
MOST = 20_000


class Part(NamedTuple):
    """One component. `key` is what it is known by in the next list, whatever its version: its package URL, or name."""

    key: str
    name: str
    version: str
    licence: str


def make(purl: PackageURL | None, name: str, version: str | None, licence: str) -> Part:
    """This function will describe a component as it may be stored."""
    bare = PackageURL(purl.type, purl.namespace, purl.name).to_string() if purl else name
    return Part(
        documents.short(bare, 300) or "without a name",
        documents.short(name) or "without a name",
        documents.short(version or (purl.version if purl else "") or "", 100),
        documents.short(licence),
    )


def purl_of(text: str) -> PackageURL | None:
    """This function will read a package URL; None where it is none."""
    try:
        return PackageURL.from_string(text)
    except ValueError:
        return None


def figures_of(subject: str, parts: list[Part]) -> dict[str, Any]:
    """This function will count components and their licences. Raises Unreadable: there are too many."""
    require_few(parts)
    return {
        "subject": documents.short(subject),
        "components": len(parts),
        "licences": sorted({part.licence for part in parts if part.licence})[:50],
        "without_licence": sum(not part.licence for part in parts),
        "parts": list(_once(parts)),
    }


def _once(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield each version of each component once, in the order of their names."""
    once = {(part.key, part.version): part for part in parts}
    yield from sorted(once.values(), key=lambda part: (part.name.lower(), part.version, part.key))


def require_few(parts: Sequence[object]) -> None:
    """This function will refuse lists that are too long to read. Raises Unreadable."""
    if len(parts) > MOST:
        raise Unreadable(f"It lists {len(parts):,} components; at most {MOST:,} are read.")
