"""The tree of RFC 6962 over the entries of one workspace: its root, and the proofs that others check.

A tree is known by the roots of the perfect subtrees that it is made of, largest first, as the bits of its size name
them: appending needs no other node. Proofs need roots of inner subtrees; `Roots` gives them from where they are kept.

Source: RFC 6962, 2.1; the compact form is that of Crosby and Wallach, "Efficient data structures for tamper-evident
logging", 2009.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

# Roots(begin, end): the root over the leaves begin ≤ i < end, for a perfect subtree at its place.
Roots = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry's canonical bytes."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Tree:
    """A tree that grows. `peaks` are the roots of its perfect subtrees, largest first: as many as `size` has bits."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf hash; return the roots of the perfect subtrees that are whole by it, from the leaf itself up."""
        whole = [leaf]
        rest = self.size
        while rest & 1:
            whole.append(node_hash(self.peaks.pop(), whole[-1]))
            rest >>= 1
        self.peaks.append(whole[-1])
        self.size += 1
        return whole

    @property
    def root(self) -> bytes:
        """The root hash; of no leaves, the hash of nothing."""
        return root_of_peaks(self.peaks)


def root_of_peaks(peaks: Sequence[bytes]) -> bytes:
    """Return the root of the tree whose perfect subtrees have these roots, largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for left in reversed(peaks[:-1]):
        root = node_hash(left, root)
    return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root


def perfect(begin: int, end: int) -> list[tuple[int, int]]:
    """Return the perfect subtrees that make up the leaves begin ≤ i < end, from left to right."""
    found = []
    while begin < end:
        widest = begin & -begin or 1 << (end - begin).bit_length() - 1
        width = min(widest, 1 << (end - begin).bit_length() - 1)
        found.append((begin, begin + width))
        begin += width
    return found


def root_between(roots: Roots, begin: int, end: int) -> bytes:
    """Return the root over the leaves begin ≤ i < end of a subtree of some tree."""
    return root_of_peaks([roots(*part) for part in perfect(begin, end)])


def inclusion_proof(roots: Roots, index: int, size: int) -> list[bytes]:
    """Return PATH(index, D[size]) of RFC 6962, 2.1.1, from the leaf up. Raises ValueError: no such leaf."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        split = begin + (1 << (end - begin - 1).bit_length() - 1)
        if index < split:
            path.append(root_between(roots, split, end))
            end = split
        else:
            path.append(root_between(roots, begin, split))
            begin = split
    return path[::-1]


def consistency_proof(roots: Roots, old: int, size: int) -> list[bytes]:
    """Return PROOF(old, D[size]) of RFC 6962, 2.1.2. Raises ValueError: the old tree is not a smaller one."""
    if not 0 < old <= size:
        raise ValueError(f"a tree of {size} has not grown from one of {old}")
    path: list[bytes] = []
    begin, end, is_whole = 0, size, True
    while old != end:
        split = begin + (1 << (end - begin - 1).bit_length() - 1)
        if old <= split:
            path.append(root_between(roots, split, end))
            end = split
        else:
            path.append(root_between(roots, begin, split))
            begin, is_whole = split, False
    if not is_whole:
        path.append(root_between(roots, begin, end))
    return path[::-1]


def root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root that a leaf and its proof make. Raises ValueError: a proof of another length."""
    node, last, left = leaf, size - 1, list(path)
    while last:
        if index & 1 or index < last:
            if not left:
                raise ValueError("the proof is too short")
            sibling = left.pop(0)
            node = node_hash(sibling, node) if index & 1 else node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    if left:
        raise ValueError("the proof is too long")
    return node
