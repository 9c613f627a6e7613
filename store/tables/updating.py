"""The most frequent write, with the fewest steps: an update whose keywords are its table's columns.

Laws: it is written as Python for each table, once, when the table is first looked at. Its short way takes a row as it
was just read, columns that no index holds, and values that a replay would read as they are; all else goes the long
way, `_update_given`, and both store the same.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.structs import force_setattr

from store.codec import ROW_SIZE_MAX, UNSTORABLE
from store.compiled import compile_function
from store.schema import ColumnSchema, TableSchema
from store.transaction import Op
from store.values import encode

_PLAIN: Final[Mapping[str, type]] = {"bool": bool, "int": int, "str": str, "bytes": bytes}
"""The classes of columns whose values have one form: what is encoded of just this class is read back equal."""
_INT_BITS: Final = 63
"""An int of so many bits, beside its sign, is in range."""

ABSENT: Final = object()
"""The value of a column that is not given."""

_UPDATE: Final = """\
def update(_self, _row, /, {parameters}):
    _seen = _self.seen
    _key = {key}
    if _row is _seen.get(_key){conditions}:
        _changed = _row.__copy__()
{settings}
        try:
            _data = _encode(_changed)
            _before = _self._rows[_key]
        except _OTHER:
            return _self._update_given(_row, ({names},))
        if _len(_data) <= {size_max}:
            if _before == _data:
                _self.writes.pop(_key, None)
            else:
                _self.writes[_key] = ({table}, {op}, _key, _before, _data)
            _seen[_key] = _changed
            return _changed
    return _self._update_given(_row, ({names},))
"""
_SETTING: Final = """\
        if {name} is not _absent:
            if not ({plain}):
                return _self._update_given(_row, ({names},))
            _set(_changed, {name!r}, {name})
"""
_WORDS: Final[Mapping[str, Any]] = {
    "_set": force_setattr,
    "_encode": encode,
    "_len": len,
    "_type": type,
    "_absent": ABSENT,
    "_OTHER": (*UNSTORABLE, KeyError),
    **{f"_{name}": kind for name, kind in _PLAIN.items()},
}
"""All that the text names: no column's name begins so, while one may be called len."""


def make_update(table: TableSchema) -> Callable[..., Any]:
    """The `update` of a view of this table: `update(row, column=value, …)`.

    TypeError, as of any function, where a keyword is none of the columns.
    """
    guarded = {table.primary_key, *(each.column for each in table.indexes)}
    short = [each for each in table.columns if each.id not in guarded and each.type in _PLAIN]
    names = [each.name for each in table.columns]
    key = f"_row.{table.key_name}"
    given = ", ".join(names)
    text = _UPDATE.format(
        parameters=", ".join(f"{name}=_absent" for name in names),
        key=f"_str({key})" if table.column_by_id(table.primary_key).type == "uuid" else key,
        conditions="".join(f" and {each.name} is _absent" for each in table.columns if each not in short),
        settings="".join(_set(each, given) for each in short).rstrip(),
        names=given,
        size_max=ROW_SIZE_MAX,
        table=int(table.id),
        op=int(Op.UPDATE),
    )
    return compile_function(text, f"{table.name}.update", _WORDS)


def _set(each: ColumnSchema, names: str) -> str:
    """The lines that change one column, if it is given a value that is stored and read back as it is."""
    plain = f"_type({each.name}) is _{each.type}"
    if each.type == "int":
        plain += f" and {each.name}.bit_length() <= {_INT_BITS}"
    if each.nullable:
        plain = f"{each.name} is None or {plain}"
    return _SETTING.format(name=each.name, plain=plain, names=names)
