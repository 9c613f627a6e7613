"""What calls do most with a table, with the fewest steps: look at a row by its key, and update one by column names.

Laws: both are written as Python for each view, once, when its table is first looked at, and name what the view holds.
An update's short way takes a row as it was just read, columns that no index holds, and values that a replay would read
as they are; all else goes the long way, `_update_given`, and both store the same.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from msgspec.structs import force_setattr

from store.codec import ROW_SIZE_MAX, UNSTORABLE, RowCodec
from store.compiled import compile_function
from store.ids import INT_MAX
from store.schema import ColumnSchema
from store.transaction import Op
from store.values import encode

_PLAIN: Final[Mapping[str, type]] = {"bool": bool, "int": int, "str": str, "bytes": bytes}
"""The classes of columns whose values have one form: what is encoded of just this class is read back equal."""

ABSENT: Final = object()
"""The value of a column that is not given."""

_GET: Final = """\
def get(self, key):
{key}    if key in _seen:
        return _seen[key]
    if not _seen:
        _touch(self)
    _data = _rows.get(key)
    if _data is None:
        _row = _seen[key] = None
    else:
        _row = _decode(_data)
        _seen[{own}] = _row
    return _row
"""
_UPDATE: Final = """\
def update(_self, _row, /, {parameters}):
    try:
        _key = {key}
        if _row is _seen[_key]{conditions}:
            _changed = _row.__copy__()
{settings}
            _data = _encode(_changed)
            if _len(_data) <= {size_max}:
                _before = _rows[_key]
                if _before == _data:
                    _writes.pop(_key, None)
                else:
                    _writes[_key] = ({table}, {op}, _key, _before, _data)
                _seen[_key] = _changed
                return _changed
    except _OTHER:
        pass
    return _self._update_given(_row, ({names},))
"""
_SETTING: Final = """\
            if {name} is not _absent:
                if not ({plain}):
                    raise _TypeError
                _set(_changed, {name!r}, {name})
"""
_WORDS: Final[Mapping[str, Any]] = {
    "_set": force_setattr,
    "_encode": encode,
    "_len": len,
    "_type": type,
    "_absent": ABSENT,
    "_TypeError": TypeError,
    "_OTHER": (*UNSTORABLE, AttributeError, KeyError),
    **{f"_{name}": kind for name, kind in _PLAIN.items()},
}
"""All that the texts name beside what a view holds: no column's name begins so, while one may be called len."""


class Held(NamedTuple):
    """What the methods of one view name. They are there as long as it is: emptied, never exchanged."""

    seen: dict[Any, Any]
    writes: dict[Any, Any]
    rows: Mapping[Any, bytes]
    touch: Callable[[Any], None]
    """Told of the view when it is first looked at in a call."""

    def words(self) -> dict[str, Any]:
        """What stands in the texts."""
        return {**_WORDS, **{f"_{name}": each for name, each in self._asdict().items()}}


def make_get(codec: RowCodec[Any], held: Held) -> Callable[..., Any]:
    """The `get` of a view of this codec's table: `get(key)`, the row or None."""
    own = f"_row.{codec.table.key_name}" if codec.plain_key else "key"  # Its own key is found again by identity.
    text = _GET.format(key="" if codec.plain_key else "    key = _str(key)\n", own=own)
    return compile_function(text, f"{codec.table.name}.get", {**held.words(), "_decode": codec.decode})


def make_update(codec: RowCodec[Any], held: Held) -> Callable[..., Any]:
    """The `update` of a view of this codec's table: `update(row, column=value, …)`.

    TypeError, as of any function, where a keyword is none of the columns.
    """
    table = codec.table
    guarded = {table.primary_key, *(each.column for each in table.indexes)}
    short = [each for each in table.columns if each.id not in guarded and each.type in _PLAIN]
    names = [each.name for each in table.columns]
    key = f"_row.{table.key_name}"
    given = ", ".join(names)
    text = _UPDATE.format(
        parameters=", ".join(f"{name}=_absent" for name in names),
        key=key if codec.plain_key else f"_str({key})",
        conditions="".join(f" and {each.name} is _absent" for each in table.columns if each not in short),
        settings="".join(_set(each) for each in short).rstrip(),
        names=given,
        size_max=ROW_SIZE_MAX,
        table=int(table.id),
        op=int(Op.UPDATE),
    )
    return compile_function(text, f"{table.name}.update", held.words())


def _set(each: ColumnSchema) -> str:
    """The lines that change one column, if it is given a value that is stored and read back as it is."""
    plain = f"_type({each.name}) is _{each.type}"
    if each.type == "int":  # MessagePack takes another bit above, and nothing below what is in range.
        plain += f" and {each.name} <= {INT_MAX}"
    if each.nullable:
        plain = f"{each.name} is None or {plain}"
    return _SETTING.format(name=each.name, plain=plain)
