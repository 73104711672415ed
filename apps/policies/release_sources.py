"""Reads a release's manifest and a chart's values as files: every mistake with the line and the column where it stands.

What the portal refuses of a manifest is refused here by the same rules. Of values, only what can be told without the
chart is judged: images by their usual names (`image`, `sidecarImage`, `images`), and secrets by theirs.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from apps.configuration import secrecy
from apps.policies.sources import InvalidSource, Mistake, at, composed, decoded, mistakes_of_form, placed, value_of
from apps.releases import manifests
from apps.releases.enums import ArtifactKind

LARGEST_BYTES, DEEPEST = 1_000_000, 40
_PINNED = re.compile(r"\S+@(sha256:[0-9a-f]{64})")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE = re.compile(r"(?:^|[a-z0-9_.-])[iI]mages?$|^images?$")
# Where a secret is kept, not what it is: existingSecret, secretName, tokenPath, secretRef.
_REFERENCE = re.compile(r"^existing|(?:name|ref|reference|path|file|class|provider|store|policy)$", re.IGNORECASE)
_TEMPLATED = re.compile(r"\$\{|\{\{")


def read_manifest(source: bytes, *, program: str = "") -> dict[str, Any]:
    """This function will read a manifest from JSON, or YAML.

    Shapes: `program` is what the service runs; what the manifest says of itself, if empty.
    Raises InvalidSource: with the mistakes of form, or the first thing that the portal would refuse.
    """
    text = decoded(source, limit=LARGEST_BYTES)
    # JSON may be indented by tabs, which YAML does not know; in its texts there are none.
    root = composed(text.replace("\t", " ") if text.lstrip().startswith("{") else text)
    if mistakes := sorted(mistakes_of_form(root)):
        raise InvalidSource(mistakes)
    manifest = value_of(root)
    kind = ArtifactKind.CHART if isinstance(manifest, dict) and "chart" in manifest else ArtifactKind.WHEELS
    named = str(manifest.get("program", "")) if isinstance(manifest, dict) else ""
    try:
        manifests.check(manifest, program=program or named, kind=kind)
    except manifests.ManifestInvalid as error:
        where = placed(f"{error.place}:", root)
        raise InvalidSource([Mistake(where.line, where.column, str(error))]) from error
    return dict(manifest)


def read_values(source: bytes, *, digests: Collection[str] | None = None) -> int:
    """This function will read a chart's values and count the images in it.

    Shapes: with `digests`, those that the release's manifest names, each image has to be one of them.
    Raises InvalidSource: with every mistake that was found.
    """
    text = decoded(source, limit=LARGEST_BYTES)
    if all(line.lstrip().startswith("#") for line in text.splitlines() if line.strip()):
        return 0
    root = composed(text, has_anchors=True, deepest=DEEPEST)
    if not isinstance(root, MappingNode):
        raise InvalidSource([at(root.start_mark, "Values are fields with values.")])
    found = _Found(digests)
    found.read(root)
    if found.mistakes:
        raise InvalidSource(sorted(found.mistakes))
    return found.images


class _Found:
    def __init__(self, digests: Collection[str] | None) -> None:
        self.images, self.mistakes, self._digests = 0, list[Mistake](), digests
        # An anchor's node stands in many places and may stand in itself.
        self._read: set[int] = set()

    def read(self, node: Node) -> None:
        if id(node) in self._read:
            return
        self._read.add(id(node))
        if isinstance(node, SequenceNode):
            for item in node.value:
                self.read(item)
        elif isinstance(node, MappingNode):
            self._fields(node)

    def _fields(self, node: MappingNode) -> None:
        seen: set[str] = set()
        for key, item in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else ""
            if name in seen and name != "<<":
                self._say(key, f"{name}: stands there twice.")
            seen.add(name)
            if _IMAGE.search(name):
                self._images(name, key, item)
            elif isinstance(item, ScalarNode):
                self._secret(name, key, item)
            self.read(item)

    def _images(self, name: str, key: Node, item: Node) -> None:
        if isinstance(item, SequenceNode):
            for each in item.value:
                self._image(name, each, each)
        elif isinstance(item, MappingNode) and name.lower().endswith("images"):
            for inner, each in item.value:
                self._image(str(inner.value), inner, each)
        else:
            self._image(name, key, item)

    def _image(self, name: str, key: Node, item: Node) -> None:
        fields = dict(_texts(item))
        if isinstance(item, ScalarNode):
            fields = {"repository": item.value} if item.tag.endswith(":str") else {}
        written = fields.get("repository") or fields.get("name") or ""
        if not written:
            return
        self.images += 1
        whole = f"{written}:{fields['tag']}" if fields.get("tag") else written
        pinned = _PINNED.fullmatch(whole)
        digest = pinned[1] if pinned else fields.get("digest", "")
        if not _DIGEST.fullmatch(digest):
            self._say(key, f"{name}: {whole[:200]} is not named by its digest: sha256: and 64 hexadecimal digits.")
        elif self._digests is not None and digest not in self._digests:
            self._say(
                key, f"{name}: the manifest does not name {whole[:200]} ({digest}); no cluster that asks admits it."
            )

    def _secret(self, name: str, key: Node, item: ScalarNode) -> None:
        is_text = item.tag.endswith(":str") and item.value and not _TEMPLATED.search(item.value)
        if is_text and not _REFERENCE.search(name) and secrecy.secrets_in({name: item.value}):
            self._say(key, f"{name}: holds a secret in clear text. Name a Secret of the cluster that holds it.")

    def _say(self, node: Node, reason: str) -> None:
        self.mistakes.append(at(node.start_mark, reason))


def _texts(node: Node) -> Iterator[tuple[str, str]]:
    if isinstance(node, MappingNode):
        for key, item in node.value:
            if isinstance(key, ScalarNode) and isinstance(item, ScalarNode):
                yield str(key.value), str(item.value)
