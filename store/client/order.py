"""The rows of a view in the order of its query.

Laws: the order is the server's: NULLs where it says, text by code point, what ties by primary key. Sorting is made when
somebody looks, and again only after something has changed.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from store.subscribe.messages import OrderInfo, TableInfo


class RowOrder:
    """The order that a query's rows have; `names` are their attributes."""

    def __init__(self, info: TableInfo, names: Sequence[str]) -> None:
        self._keys: Final[list[tuple[Callable[[Any], Any], OrderInfo]]] = [
            (operator.attrgetter(names[each.place]), each) for each in reversed(info.order)
        ]
        self._by_key: Final = info.key >= 0

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._keys)

    def keys(self, rows: Mapping[Any, Any]) -> list[Any]:
        """The rows' keys in order; groups that tie are in any."""
        found = list(rows.items())
        if self._by_key:
            found.sort(key=_key)
        for get, how in self._keys:  # By the last key first: a sort keeps what it finds equal as it was.
            said = [(get(row), (key, row)) for key, row in found]
            nulls = [pair for value, pair in said if value is None]
            others = [each for each in said if each[0] is not None]
            others.sort(key=_key, reverse=how.descending)
            rest = [pair for _, pair in others]
            found = nulls + rest if how.nulls_first else rest + nulls
        return [key for key, _ in found]


def _key(pair: tuple[Any, Any]) -> Any:
    return pair[0]
