"""Ranges of values, and which of them a value lies in.

    ranges.add(Range(…, low=5, includes_low=True, high=None, …), item)
    ranges.at(7)                       every item whose range holds 7

Laws: to add, to remove and to ask take O(log n) steps, and one more for each item found; nothing is ever rebuilt at
once. (An interval tree, Cormen et al. §14.3, kept in balance as a treap, Seidel and Aragon 1996, whose priorities come
from counting, so that a history has one shape.)
"""

from typing import Any, Final, Generic, TypeVar

from store.query.routing import Range

Item = TypeVar("Item")
_Bound = tuple[Any, ...]

_LOWEST: Final[_Bound] = (0,)
_HIGHEST: Final[_Bound] = (2,)
"""Beside every value, which is (1, value, 0): (1, value, 1) is right behind it, (1, value, -1) right before."""


class _Node(Generic[Item]):
    __slots__ = ("high", "item", "left", "low", "order", "priority", "reach", "right")

    def __init__(self, low: _Bound, high: _Bound, number: int, item: Item) -> None:
        self.low: Final = low
        self.high: Final = high
        self.order: Final = (low, number)
        self.priority: Final = number * 0x9E3779B97F4A7C15 & 0xFFFF_FFFF_FFFF_FFFF
        self.item: Final = item
        self.reach = high
        """The highest bound in this subtree."""
        self.left: _Node[Item] | None = None
        self.right: _Node[Item] | None = None

    def measure(self) -> None:
        """Find the reach anew, after a child changed."""
        reach = self.high
        if self.left is not None and self.left.reach > reach:
            reach = self.left.reach
        if self.right is not None and self.right.reach > reach:
            reach = self.right.reach
        self.reach = reach


class Intervals(Generic[Item]):
    """Items by the ranges they are interested in. Bounds of one set are of types that compare with each other."""

    def __init__(self) -> None:
        self._root: _Node[Item] | None = None
        self._nodes: Final[dict[Item, _Node[Item]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, wanted: Range, item: Item) -> None:
        """From now on values within the range find the item, which is new here."""
        assert item not in self._nodes
        self._count += 1
        low = _LOWEST if wanted.low is None else (1, wanted.low, 0 if wanted.includes_low else 1)
        high = _HIGHEST if wanted.high is None else (1, wanted.high, 0 if wanted.includes_high else -1)
        node = self._nodes[item] = _Node(low, high, self._count, item)
        self._root = _insert(self._root, node)

    def remove(self, item: Item) -> None:
        """No value finds it any more."""
        self._root = _remove(self._root, self._nodes.pop(item))

    def at(self, value: Any) -> list[Item]:
        """The items whose range holds a value that is not NULL."""
        point = (1, value, 0)
        found = []
        stack = [self._root]
        while stack:
            node = stack.pop()
            if node is None or node.reach < point:
                continue
            stack.append(node.left)
            if node.low <= point:
                if node.high >= point:
                    found.append(node.item)
                stack.append(node.right)
        return found


def _insert(root: _Node[Item] | None, node: _Node[Item]) -> _Node[Item]:
    if root is None:
        return node
    if node.priority > root.priority:
        node.left, node.right = _split(root, node.order)
        node.measure()
        return node
    if node.order < root.order:
        root.left = _insert(root.left, node)
    else:
        root.right = _insert(root.right, node)
    root.measure()
    return root


def _remove(root: _Node[Item] | None, node: _Node[Item]) -> _Node[Item] | None:
    assert root is not None
    if root is node:
        return _merge(node.left, node.right)
    if node.order < root.order:
        root.left = _remove(root.left, node)
    else:
        root.right = _remove(root.right, node)
    root.measure()
    return root


def _split(root: _Node[Item] | None, order: Any) -> tuple[_Node[Item] | None, _Node[Item] | None]:
    """What comes before a place, and what behind it."""
    if root is None:
        return None, None
    if root.order < order:
        root.right, after = _split(root.right, order)
        root.measure()
        return root, after
    before, root.left = _split(root.left, order)
    root.measure()
    return before, root


def _merge(before: _Node[Item] | None, after: _Node[Item] | None) -> _Node[Item] | None:
    if before is None or after is None:
        return before or after
    if before.priority > after.priority:
        before.right = _merge(before.right, after)
        before.measure()
        return before
    after.left = _merge(before, after.left)
    after.measure()
    return after
