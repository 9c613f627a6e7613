"""Tables as an author declares them, and as the log records them.

    class Account(Table, name="accounts", public=True):
        id: int = column(primary_key=True)
        owner: str = column(index=True)
        balance: int = 0

    Account.where(Account.owner == "ada").order_by(Account.id)

Laws: a row is a frozen struct of immutable values, and MessagePack writes it as an array in column order. Table and
column ids are never reused. A Schema alone suffices to decode every row written under it. A column's name means the
value on a row, and the column itself on the class, for queries.
"""

import re
import sys
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeVar, cast, dataclass_transform

import msgspec

from store.expression import Column, Selection, Term
from store.ids import ColumnId, SchemaVersion, TableId
from store.values import ColumnType, column_type, constrain

NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
COLUMNS_MAX: Final = 256


Row = TypeVar("Row")


class ColumnSchema(msgspec.Struct, frozen=True, array_like=True):
    """One column as it is logged."""

    id: ColumnId
    name: str
    type: str
    """A type's name as values.py lists them; "[]" behind it for a tuple of them."""
    nullable: bool
    default: bytes | None
    """The default as MessagePack, or None where a row must say the value."""


class IndexSchema(msgspec.Struct, frozen=True, array_like=True):
    """One hash index over one column; a unique one is a constraint too."""

    column: ColumnId
    unique: bool


class TableSchema(msgspec.Struct, frozen=True, array_like=True):
    """One table as it is logged. A declared table has ids 0 until the engine has planned it into the log."""

    id: TableId
    name: str
    public: bool
    """Any token that may read at all may read it; a private table wants the operate scope."""
    columns: tuple[ColumnSchema, ...]
    primary_key: ColumnId
    auto_increment: bool
    indexes: tuple[IndexSchema, ...]

    def column(self, name: str) -> ColumnSchema | None:
        """The column of that name, or None."""
        return next((each for each in self.columns if each.name == name), None)

    def column_by_id(self, column_id: ColumnId) -> ColumnSchema:
        """The column with that id. KeyError if there is none."""
        for each in self.columns:
            if each.id == column_id:
                return each
        raise KeyError(column_id)

    @property
    def key_name(self) -> str:
        """The primary key's column name."""
        return self.column_by_id(self.primary_key).name


class Schema(msgspec.Struct, frozen=True, array_like=True):
    """All tables from one schema record up to the next."""

    version: SchemaVersion
    tables: tuple[TableSchema, ...]

    def table(self, name: str) -> TableSchema | None:
        """The table of that name, or None."""
        return next((each for each in self.tables if each.name == name), None)


EMPTY_SCHEMA: Final = Schema(version=SchemaVersion(0), tables=())


class _Missing(msgspec.Struct, frozen=True):
    """Says that nothing was given, where None is a value."""


class _AutoIncrement(msgspec.Struct, frozen=True):
    """Says that the table gives the key."""


_MISSING: Final = _Missing()
AUTO_INCREMENT: Final = cast("int", _AutoIncrement())
"""The default of an integer primary key that the table itself counts up from 1, never reusing a committed key."""


class _Column(msgspec.Struct, frozen=True):
    """What `column()` was told, until the metaclass reads it."""

    primary_key: bool
    index: bool
    unique: bool
    default: Any


def column(
    *,
    primary_key: bool = False,
    index: bool = False,
    unique: bool = False,
    default: Any = _MISSING,
) -> Any:
    """Declare a column: `primary_key`, hash `index`, `unique` (an index too), and its `default`.

    A column is nullable when its annotation says `| None`. `default=AUTO_INCREMENT` is for an int primary key.
    """
    return _Column(primary_key=primary_key, index=index, unique=unique, default=default)


class _TableMeta(msgspec.StructMeta):
    """Reads column declarations and makes the class a frozen, array-like struct outside the garbage collector.

    The columns themselves are data descriptors of a metaclass made for each table: what a row's own slots are, and
    what making and decoding rows costs, does not change.
    """

    def __new__(
        mcs,
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        name: str = "",
        public: bool = False,
        sensitive: bool = False,
        **_frozen: bool,
    ) -> Any:
        """Make the row type of one table; TypeError says which column is declared wrongly, and how."""
        if bases != (msgspec.Struct,):
            if bases != (Table,):
                raise TypeError(f"{class_name} must derive from Table alone: tables do not inherit columns")
            schema, namespace = _read_declaration(class_name, name or _snake_case(class_name), namespace, public=public)
            namespace["__table__"] = schema
            namespace["__sensitive__"] = sensitive
            mcs = type(f"{class_name}Meta", (mcs,), _class_attributes(schema))
        return super().__new__(mcs, class_name, bases, namespace, frozen=True, array_like=True, kw_only=True, gc=False)

    def __init__(self, *_arguments: Any, **_keywords: Any) -> None:
        """Take the class keywords that `__new__` has used."""

    def where(cls: type[Row], *conditions: Term[bool] | bool) -> Selection[Row]:  # noqa: N805  # A class is its self.
        """Make a query: the rows that meet all of these conditions; without one, all rows."""
        return Selection(cast("type[Table]", cls).__table__.name, cls).where(*conditions)

    def select(cls: type[Row], *columns: Any, **values: Any) -> Selection[Any]:  # noqa: N805  # A class is its self.
        """Make a query: these columns of all rows."""
        return Selection(cast("type[Table]", cls).__table__.name, cls).select(*columns, **values)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(column,))
class Table(msgspec.Struct, metaclass=_TableMeta, frozen=True):
    """The base of every table: subclass it, annotate the columns, and use the class as the row type.

    Rows are made with keywords, compare by value, and never change. `name` defaults to the class name in
    snake_case. Of a `sensitive` table every query and subscription is a record in the log, with who asked; the audit
    trail shows neither its rows and keys nor what it was asked with, only keyed hashes of them. Raises TypeError where
    a declaration cannot be kept.
    """

    __table__: ClassVar[TableSchema]
    __sensitive__: ClassVar[bool]


def _class_attributes(table: TableSchema) -> dict[str, Any]:
    """Each column as the class shows it. A column named as a word of the class hides it: a Selection says the same.

    Only `mro` stays the class's own, for Python asks every class for it.
    """
    return {each.name: _class_attribute(table.name, each) for each in table.columns if each.name != "mro"}


def _class_attribute(table: str, said: ColumnSchema) -> property:
    made: Column[Any] = Column(table, said.name, ColumnType(said.type, said.nullable))
    return property(lambda _: made)


def _read_declaration(
    class_name: str, table_name: str, namespace: Mapping[str, Any], *, public: bool
) -> tuple[TableSchema, dict[str, Any]]:
    """Split a class body into the schema it declares and the namespace msgspec shall see."""
    if not NAME_PATTERN.fullmatch(table_name):
        raise TypeError(f"{class_name}: a table's name matches {NAME_PATTERN.pattern}, found {table_name!r}")
    probe = type(class_name, (), dict(namespace))
    hints = {each: hint for each, hint in _hints(probe).items() if typing.get_origin(hint) is not ClassVar}
    if not 0 < len(hints) <= COLUMNS_MAX:
        raise TypeError(f"{class_name}: a table has 1 to {COLUMNS_MAX} columns, found {len(hints)}")
    rest = {each: value for each, value in namespace.items() if each not in hints}
    for leftover in ("__annotate__", "__annotate_func__", "__classcell__"):
        rest.pop(leftover, None)
    columns: list[ColumnSchema] = []
    indexes: list[IndexSchema] = []
    keys: list[ColumnSchema] = []
    for number, (each, hint) in enumerate(hints.items(), start=1):
        said = namespace.get(each, _MISSING)
        declared = said if isinstance(said, _Column) else _Column(False, False, False, said)
        made, default = _read_column(ColumnId(number), each, hint, declared, where=f"{class_name}.{each}")
        columns.append(made)
        rest.update(default)
        if declared.primary_key:
            keys.append(made)
        elif declared.index or declared.unique:
            indexes.append(IndexSchema(column=made.id, unique=declared.unique))
    if len(keys) != 1:
        raise TypeError(f"{class_name}: a table has exactly one primary key column, found {len(keys)}")
    (key,) = keys
    said = namespace.get(key.name)
    rest["__annotations__"] = {each: constrain(hint) for each, hint in hints.items()}
    return (
        TableSchema(
            id=TableId(0),
            name=table_name,
            public=public,
            columns=tuple(columns),
            primary_key=key.id,
            auto_increment=isinstance(said, _Column) and isinstance(said.default, _AutoIncrement),
            indexes=tuple(indexes),
        ),
        rest,
    )


def _hints(probe: type) -> dict[str, Any]:
    return typing.get_type_hints(probe, vars(sys.modules[probe.__module__]), include_extras=True)


def _read_column(
    column_id: ColumnId, name: str, hint: Any, declared: _Column, *, where: str
) -> tuple[ColumnSchema, dict[str, Any]]:
    """One column's schema, and the default msgspec shall use, if any; a default must be a value of its own type."""
    if not NAME_PATTERN.fullmatch(name):
        raise TypeError(f"{where}: a column's name matches {NAME_PATTERN.pattern}")
    kind = column_type(hint, where=where)
    default = declared.default
    if isinstance(default, _AutoIncrement):
        if not declared.primary_key or kind != ("int", False):
            raise TypeError(f"{where}: AUTO_INCREMENT is the default of an int primary key, not of {kind}")
        default = 0
    if declared.primary_key:
        _check_key(kind, where)
    elif declared.index or declared.unique:
        _check_indexable(kind, where)
    encoded = None
    if not isinstance(default, _Missing):
        try:
            encoded = kind.encode(default)
        except (ValueError, TypeError, OverflowError) as error:
            raise TypeError(f"{where}: the default {default!r} is no {kind.name}: {error}") from None
    column_schema = ColumnSchema(id=column_id, name=name, type=kind.name, nullable=kind.nullable, default=encoded)
    return column_schema, {} if encoded is None else {name: kind.decode(encoded)}


def _check_key(kind: ColumnType, where: str) -> None:
    """A key must have one wire form, an order, and never be NULL."""
    if kind.nullable or kind.name not in {"int", "str", "bytes", "uuid"}:
        raise TypeError(f"{where}: a primary key is an int, str, bytes or UUID, not {kind}")


def _check_indexable(kind: ColumnType, where: str) -> None:
    """A hash index needs values that compare as they are written."""
    if kind.name == "json" or kind.name.endswith("[]"):
        raise TypeError(f"{where}: a {kind.name} column cannot be indexed")


def _snake_case(class_name: str) -> str:
    """BuildStep → build_step."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()
