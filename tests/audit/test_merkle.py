"""The tree against the formulas of RFC 6962 as they stand there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.audit import merkle
from tests.audit.sealed_log import consistency, inclusion, root_of

LEAVES = [merkle.leaf_hash(number.to_bytes(2)) for number in range(300)]


def roots(begin: int, end: int) -> bytes:
    return root_of(LEAVES[begin:end])


def test_the_published_roots() -> None:
    # certificate-transparency-go, merkletree: the roots of its test inputs.
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    expected = ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"]
    expected += ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]
    expected += ["aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"]
    tree = merkle.Tree()
    seen = []
    for text in inputs:
        tree.append(merkle.leaf_hash(bytes.fromhex(text)))
        seen.append(tree.root.hex())

    assert seen[:3] == expected
    assert seen[-1] == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert merkle.root_of([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(size=st.integers(1, 300), index=st.integers(0, 299))
def test_every_leaf_is_proved(size: int, index: int) -> None:
    index %= size

    proof = merkle.inclusion_proof(roots, index, size)

    assert proof == inclusion(index, LEAVES[:size])
    assert merkle.root_by_inclusion(LEAVES[index], index, size, proof) == merkle.root_of(LEAVES[:size])


@given(size=st.integers(1, 300), old=st.integers(1, 300))
def test_every_tree_is_proved_to_hold_each_before_it(size: int, old: int) -> None:
    old = min(old, size)

    assert merkle.consistency_proof(roots, old, size) == consistency(old, LEAVES[:size])


@given(size=st.integers(0, 300))
def test_a_tree_tells_which_subtrees_a_leaf_made_whole(size: int) -> None:
    tree = merkle.Tree()
    for leaf in LEAVES[:size]:
        whole = tree.append(leaf)
        for height, root in enumerate(whole):
            assert root == root_of(LEAVES[tree.size - (1 << height) : tree.size])

    assert tree.root == root_of(LEAVES[:size])


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    for index, size in ((5, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="has no leaf"):
            merkle.inclusion_proof(roots, index, size)
    with pytest.raises(ValueError, match="has not grown"):
        merkle.consistency_proof(roots, 6, 5)
    for wrong in ([], [LEAVES[0]] * 9):
        with pytest.raises(ValueError, match="the proof is too"):
            merkle.root_by_inclusion(LEAVES[0], 0, 5, wrong)
