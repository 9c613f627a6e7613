"""Ranges of values, and which of them a value lies in.

    ranges.add(Range(…, low=5, includes_low=True, high=None, …), item)
    ranges.at(7)                       every item whose range holds 7

Laws: to add, to remove and to ask take O(log n) steps, and one more for each item found, whatever ranges somebody
chooses to follow; nothing is ever rebuilt at once. (An interval tree, Cormen et al. §14.3, kept in balance as by
Adelson-Velsky and Landis, 1962: that needs no dice, so a history has one shape, and nobody can make it a bad one.)
"""

from typing import Any, Final, Generic, TypeVar

from store.query.routing import Range

Item = TypeVar("Item")
_Bound = tuple[Any, ...]

_LOWEST: Final[_Bound] = (0,)
_HIGHEST: Final[_Bound] = (2,)
"""Beside every value, which is (1, value, 0): (1, value, 1) is right behind it, (1, value, -1) right before."""


class _Node(Generic[Item]):
    __slots__ = ("height", "high", "item", "left", "low", "order", "reach", "right")

    def __init__(self, low: _Bound, high: _Bound, number: int, item: Item) -> None:
        self.low: Final = low
        self.high: Final = high
        self.order: Final = (low, number)
        self.item: Final = item
        self.height = 1
        """Nodes on the longest way down, this one included."""
        self.reach = high
        """The highest bound in this subtree."""
        self.left: _Node[Item] | None = None
        self.right: _Node[Item] | None = None

    def measure(self) -> None:
        """Find height and reach anew, after a child changed."""
        left, right, reach = self.left, self.right, self.high
        if left is not None and left.reach > reach:
            reach = left.reach
        if right is not None and right.reach > reach:
            reach = right.reach
        self.reach = reach
        self.height = 1 + max(_height(left), _height(right))


class Intervals(Generic[Item]):
    """Items by the ranges they are interested in. Bounds of one set are of types that compare with each other."""

    def __init__(self) -> None:
        self._root: _Node[Item] | None = None
        self._nodes: Final[dict[Item, list[_Node[Item]]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, wanted: Range, item: Item) -> None:
        """From now on values within the range find the item, as those within the ranges it has already."""
        self._count += 1
        low = _LOWEST if wanted.low is None else (1, wanted.low, 0 if wanted.includes_low else 1)
        high = _HIGHEST if wanted.high is None else (1, wanted.high, 0 if wanted.includes_high else -1)
        node = _Node(low, high, self._count, item)
        self._nodes.setdefault(item, []).append(node)
        self._root = _insert(self._root, node)

    def remove(self, item: Item) -> None:
        """No value finds it any more."""
        for node in self._nodes.pop(item):
            self._root = _remove(self._root, node)

    def at(self, value: Any) -> list[Item]:
        """The items of which a range holds a value that is not NULL, once for each of these."""
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


def _height(node: _Node[Item] | None) -> int:
    return 0 if node is None else node.height


def _insert(root: _Node[Item] | None, node: _Node[Item]) -> _Node[Item]:
    if root is None:
        return node
    if node.order < root.order:
        root.left = _insert(root.left, node)
    else:
        root.right = _insert(root.right, node)
    return _balanced(root)


def _remove(root: _Node[Item] | None, node: _Node[Item]) -> _Node[Item] | None:
    assert root is not None
    if root is not node:
        if node.order < root.order:
            root.left = _remove(root.left, node)
        else:
            root.right = _remove(root.right, node)
        return _balanced(root)
    if node.left is None or node.right is None:
        return node.left or node.right
    heir, rest = _first(node.right)
    heir.left, heir.right = node.left, rest
    return _balanced(heir)


def _first(root: _Node[Item]) -> tuple[_Node[Item], _Node[Item] | None]:
    """The first node in order, and the tree without it."""
    if root.left is None:
        return root, root.right
    first, root.left = _first(root.left)
    return first, _balanced(root)


def _balanced(root: _Node[Item]) -> _Node[Item]:
    """The tree, whose children may have changed by one in height, with children that differ by at most one."""
    left, right = root.left, root.right
    if left is not None and left.height > _height(right) + 1:
        if _height(left.right) > _height(left.left):
            root.left = _left_turned(left)
        return _right_turned(root)
    if right is not None and right.height > _height(left) + 1:
        if _height(right.left) > _height(right.right):
            root.right = _right_turned(right)
        return _left_turned(root)
    root.measure()
    return root


def _left_turned(root: _Node[Item]) -> _Node[Item]:
    """The right child above the root."""
    top = root.right
    assert top is not None
    root.right, top.left = top.left, root
    root.measure()
    top.measure()
    return top


def _right_turned(root: _Node[Item]) -> _Node[Item]:
    """The left child above the root."""
    top = root.left
    assert top is not None
    root.left, top.right = top.right, root
    root.measure()
    top.measure()
    return top
