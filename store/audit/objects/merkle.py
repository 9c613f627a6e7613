"""The Merkle tree over the events: RFC 6962 §2.1, grown batch by batch and never held whole.

Laws: leaf = SHA-256(0x00, line), node = SHA-256(0x01, left, right). What is known of consecutive leaves is a `Span`:
the roots of the largest full subtrees that lie in them, a few hashes however many leaves. Two spans that meet give the
span of both; the span from leaf 0 gives the root; two neighbouring spans give every proof. Nothing here keeps a leaf.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = sha256().digest()
"""The root of a tree without leaves."""
SIZE_MAX: Final = 2**63 - 1
"""Leaves of a tree, at most: as the C2SP pages have it."""

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_hash(line: bytes) -> bytes:
    """The hash of one event: its line's bytes without the newline."""
    return sha256(_LEAF + line).digest()


def leaf_hashes(lines: Iterable[bytes]) -> list[bytes]:
    """As `leaf_hash`, of many."""
    return [sha256(_LEAF + line).digest() for line in lines]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node above two others."""
    return sha256(_NODE + left + right).digest()


def subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """(start, width) of each of the largest full subtrees that make up the leaves from `start` to before `end`."""
    found = []
    while start < end:
        width = start & -start or 1 << end.bit_length()
        while start + width > end:
            width >>= 1
        found.append((start, width))
        start += width
    return found


@dataclass(frozen=True)
class Span:
    """The leaves from `start` to before `end`, as the roots of the largest full subtrees in them, left to right."""

    start: int
    end: int
    roots: tuple[bytes, ...]

    def __post_init__(self) -> None:
        assert 0 <= self.start <= self.end  # Who reads one from outside has checked it.
        assert len(self.roots) == len(subtrees(self.start, self.end))

    def then(self, other: "Span") -> "Span":
        """The span of both, where the other begins at this one's end."""
        assert other.start == self.end
        places = [*subtrees(self.start, self.end)]
        roots = [*self.roots]
        for (start, width), root in zip(subtrees(other.start, other.end), other.roots, strict=True):
            while places and places[-1] == (start - width, width) and start & width:
                places.pop()
                root = node_hash(roots.pop(), root)  # noqa: PLW2901  # It climbs.
                start, width = start - width, width * 2  # noqa: PLW2901  # It climbs.
            places.append((start, width))
            roots.append(root)
        return Span(self.start, other.end, tuple(roots))

    def root(self) -> bytes:
        """The root of the tree of these leaves, which begin at 0."""
        assert self.start == 0
        return root_of(self.roots)

    def nodes(self) -> dict[tuple[int, int], bytes]:
        """Each subtree's root by the leaves it spans: (start, end)."""
        return {
            (start, start + width): root
            for (start, width), root in zip(subtrees(self.start, self.end), self.roots, strict=True)
        }


NOTHING: Final = Span(0, 0, ())
"""Of a tree without leaves."""


def span_of(start: int, leaves: Sequence[bytes]) -> Span:
    """The span of these leaf hashes, the first of which is leaf `start`."""
    left: list[bytes] = []
    right: list[bytes] = []
    level, position = list(leaves), start
    while level:
        if position & 1:
            left.append(level.pop(0))
            position += 1
        if len(level) & 1:
            right.append(level.pop())
        level = [sha256(_NODE + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)]
        position >>= 1
    return Span(start, start + len(leaves), (*left, *reversed(right)))


def root_of(roots: Sequence[bytes]) -> bytes:
    """The root above subtrees that make up a whole tree, left to right."""
    if not roots:
        return EMPTY_ROOT
    *before, root = roots
    for each in reversed(before):
        root = node_hash(each, root)
    return root


def inclusion_proof(before: Span, leaf: bytes, behind: Span) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962 §2.1.1 for the one leaf that lies between two spans, from the leaf's sibling up."""
    assert before.start == 0
    assert behind.start == before.end + 1
    nodes = {**before.nodes(), **behind.nodes(), (before.end, behind.start): leaf}
    proof: list[bytes] = []
    start, end, target = 0, behind.end, before.end
    while end - start > 1:
        middle = start + _split(end - start)
        if target < middle:
            proof.append(_hash_of(nodes, middle, end))
            end = middle
        else:
            proof.append(_hash_of(nodes, start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(before: Span, behind: Span) -> list[bytes]:
    """PROOF(m, D[n]) of RFC 6962 §2.1.2: that the tree of both spans goes on from the tree of the first.

    Empty where the first has no leaves, as the C2SP witness protocol has it, and where the second has none.
    """
    assert before.start == 0
    assert behind.start == before.end
    if before.end == 0 or behind.start == behind.end:
        return []
    nodes = {**before.nodes(), **behind.nodes()}
    proof: list[bytes] = []
    start, end, size = 0, behind.end, before.end
    while end != size:
        middle = start + _split(end - start)
        if size <= middle:
            proof.append(_hash_of(nodes, middle, end))
            end = middle
        else:
            proof.append(_hash_of(nodes, start, middle))
            start = middle
    if start != 0:
        proof.append(_hash_of(nodes, start, end))
    return proof[::-1]


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _hash_of(nodes: Mapping[tuple[int, int], bytes], start: int, end: int) -> bytes:
    """MTH(D[start:end]) from the full subtrees there are."""
    if (start, end) in nodes:
        return nodes[start, end]
    middle = start + _split(end - start)
    return node_hash(_hash_of(nodes, start, middle), _hash_of(nodes, middle, end))


def includes(*, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows the leaf at `index` in the tree of that size and root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size <= SIZE_MAX or not _are_hashes(leaf, root, *proof):
        return False
    node, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(each, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, each)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def goes_on(*, old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the larger tree begins with the smaller one (RFC 9162 §2.1.4.2)."""
    if not 0 <= old_size <= size <= SIZE_MAX:
        return False
    if old_size == size:  # The published vectors ask for no more than the same root, be it a hash or not.
        return not proof and old_root == root and (size > 0 or root == EMPTY_ROOT)
    if not _are_hashes(old_root, root, *proof):
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else [*proof]
    return bool(path) and _climb(path, old_size - 1, size - 1) == (old_root, root)


def _climb(path: Sequence[bytes], node: int, last: int) -> tuple[bytes, bytes] | None:
    """The roots of the smaller and the larger tree that a consistency proof gives, or None: it gives none."""
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for each in path[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, each)
        node, last = node >> 1, last >> 1
    return (old, new) if last == 0 else None


def _are_hashes(*found: bytes) -> bool:
    return all(len(each) == HASH_SIZE for each in found)
