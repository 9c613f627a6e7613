"""The Merkle tree: published vectors, and the laws of spans and proofs."""

import base64
import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.merkle import (
    EMPTY_ROOT,
    NOTHING,
    Span,
    consistency_proof,
    goes_on,
    includes,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    node_hash,
    root_of,
    span_of,
    subtrees,
)

DATA = Path(__file__).parents[2] / "data" / "merkle"


def vectors(kind: str) -> list[dict]:
    """The published proofs of one kind."""
    return [json.loads(line) for line in (DATA / f"{kind}.jsonl").read_text().splitlines()]


def hashes(said: list[str] | None) -> list[bytes]:
    """Base64 to bytes."""
    return [base64.b64decode(each or "") for each in said or []]


def leaves(count: int) -> list[bytes]:
    """As many leaves, each its own."""
    return leaf_hashes(str(each).encode() for each in range(count))


def root_by_definition(found: list[bytes]) -> bytes:
    """MTH as RFC 6962 writes it."""
    if not found:
        return EMPTY_ROOT
    if len(found) == 1:
        return found[0]
    middle = 1 << ((len(found) - 1).bit_length() - 1)
    return node_hash(root_by_definition(found[:middle]), root_by_definition(found[middle:]))


def test_there_are_196_published_vectors() -> None:
    """98 of each kind, and good and bad ones among both."""
    for kind in ("inclusion", "consistency"):
        found = vectors(kind)
        assert len(found) == 98
        assert {each["wantErr"] for each in found} == {True, False}


@pytest.mark.parametrize("vector", vectors("inclusion"), ids=lambda each: each["name"])
def test_published_inclusion_proofs_are_judged_as_published(vector: dict) -> None:
    """A good proof holds and a bad one does not."""
    (leaf, root), proof = hashes([vector["leafHash"], vector["root"]]), hashes(vector["proof"])
    found = includes(index=vector["leafIdx"], size=vector["treeSize"], leaf=leaf, proof=proof, root=root)
    assert found is not vector["wantErr"]


@pytest.mark.parametrize("vector", vectors("consistency"), ids=lambda each: each["name"])
def test_published_consistency_proofs_are_judged_as_published(vector: dict) -> None:
    """A good proof holds and a bad one does not."""
    (old_root, root), proof = hashes([vector["root1"], vector["root2"]]), hashes(vector["proof"])
    found = goes_on(old_size=vector["size1"], old_root=old_root, size=vector["size2"], root=root, proof=proof)
    assert found is not vector["wantErr"]


def test_hashes_are_those_of_the_rfc() -> None:
    """A leaf is marked with 0x00, a node with 0x01, and no leaf at all hashes nothing."""
    assert leaf_hash(b"line") == sha256(b"\x00line").digest() == leaf_hashes([b"line"])[0]
    assert node_hash(b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()
    assert sha256(b"").digest() == EMPTY_ROOT == NOTHING.root()


@pytest.mark.parametrize("size", [*range(70), 127, 128, 129, 300])
def test_a_root_is_that_of_the_definition(size: int) -> None:
    """However many leaves there are."""
    found = leaves(size)
    assert span_of(0, found).root() == root_by_definition(found)


def test_subtrees_are_full_and_as_large_as_can_be() -> None:
    """Leaves 3 to 10 are 1 + 4 + 2 + 1 of them."""
    assert subtrees(3, 11) == [(3, 1), (4, 4), (8, 2), (10, 1)]
    assert subtrees(5, 5) == []
    assert subtrees(0, 6) == [(0, 4), (4, 2)]


cuts = st.lists(st.integers(0, 200), min_size=3, max_size=3).map(sorted)


@given(cuts)
def test_spans_that_meet_give_the_span_of_both(places: list[int]) -> None:
    """It does not matter where leaves are cut into batches."""
    start, middle, end = places
    found = leaves(end)
    both = span_of(start, found[start:middle]).then(span_of(middle, found[middle:end]))
    assert both == span_of(start, found[start:end])


@given(cuts)
def test_two_spans_prove_that_the_tree_goes_on(places: list[int]) -> None:
    """From any size to any larger one, also where what came behind was known in pieces."""
    old, middle, size = places
    found = leaves(size)
    behind = span_of(old, found[old:middle]).then(span_of(middle, found[middle:]))
    proof = consistency_proof(span_of(0, found[:old]), behind)
    roots = {"old_root": root_by_definition(found[:old]), "root": root_by_definition(found)}
    assert goes_on(old_size=old, size=size, proof=proof, **roots)
    if old not in {0, size}:
        assert not goes_on(old_size=old, size=size, proof=proof[:-1], **roots)
        assert not goes_on(old_size=old, size=size + 1, proof=[*proof, EMPTY_ROOT], **roots)


@given(st.integers(1, 200).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_two_spans_prove_the_leaf_between_them(place: tuple[int, int]) -> None:
    """And no other leaf, nor at another place."""
    size, index = place
    found = leaves(size)
    proof = inclusion_proof(span_of(0, found[:index]), found[index], span_of(index + 1, found[index + 1 :]))
    root = root_by_definition(found)
    assert includes(index=index, size=size, leaf=found[index], proof=proof, root=root)
    assert not includes(index=index, size=size, leaf=leaf_hash(b"other"), proof=proof, root=root)
    if size > 1:
        assert not includes(index=(index + 1) % size, size=size, leaf=found[index], proof=proof, root=root)


def test_a_hash_of_another_length_proves_nothing() -> None:
    """Neither as a root nor in a proof, so that no bytes can be read in two ways."""
    root, short = leaf_hash(b"a"), bytes(31)
    assert not includes(index=0, size=1, leaf=short, proof=[], root=short)
    assert not includes(index=0, size=2, leaf=root, proof=[short], root=node_hash(root, short))
    assert not goes_on(old_size=1, old_root=root, size=2, root=node_hash(root, short), proof=[short])


def test_sizes_that_cannot_be_prove_nothing() -> None:
    """Negative ones, ones that shrink, and ones past 63 bits."""
    root = leaf_hash(b"a")
    for index, size in ((-1, 1), (1, 1), (0, 0), (0, 2**63)):
        assert not includes(index=index, size=size, leaf=root, proof=[], root=root)
    for old, size in ((-1, 1), (2, 1), (1, 2**63)):
        assert not goes_on(old_size=old, old_root=root, size=size, root=root, proof=[])
    assert not goes_on(old_size=0, old_root=root, size=0, root=root, proof=[])


def test_a_span_holds_as_many_roots_as_its_leaves_need() -> None:
    """Anything else is a mistake of the one who made it."""
    with pytest.raises(AssertionError):
        Span(0, 3, (EMPTY_ROOT,))


def test_the_root_of_one_subtree_is_its_own() -> None:
    """And above two it is their node."""
    a, b = leaves(2)
    assert root_of([a]) == a
    assert root_of([a, b]) == node_hash(a, b)
