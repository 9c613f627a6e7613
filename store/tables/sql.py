"""The text of a query, taken apart: the table it names, the comparison it makes, the parameters it wants.

Laws: what is not allowed is refused: every token and every node of the parse is on a list. Parameters are found here,
before the parser sees the text, so that no dialect reads `$` or `?` its own way. Nothing here knows a schema.
"""

import functools
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple, NoReturn

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from store.errors import MalformedQuery

QUERY_LENGTH_MAX: Final = 4_096
"""Characters a query's text may have."""
QUERY_DEPTH_MAX: Final = 16
"""Parentheses that may be open at once."""
PARAMETERS_MAX: Final = 64
"""Parameters a query may have."""
PARSE_CACHE_MAX: Final = 1_024
"""Texts whose parse is remembered: a parse costs a fraction of a millisecond."""
SUPPORTED: Final = "Supported are SELECT * FROM t and SELECT * FROM t WHERE column = value"
INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
"""An integer as decimal text, short enough for any of 64 bits."""

_Node = Any
"""A node of the parse: the name of its base class is the parser's own affair."""


class Name(NamedTuple):
    """A table's or column's name as it was written, and where, in characters from 0."""

    text: str
    position: int


class Value(NamedTuple):
    """The right side of the comparison: a parameter's place from 0, or a literal."""

    parameter: int | None
    value: Any
    position: int


class Statement(NamedTuple):
    """What a text says, whatever the schema."""

    table: Name
    where: tuple[Name, Value] | None
    parameters: int


def malformed(position: int, message: str, *, hint: str = "", **details: Any) -> NoReturn:
    """Refuse, naming the character, from 1."""
    raise MalformedQuery(
        f"at character {position + 1}: {message}", hint=hint, details={"position": position + 1, **details}
    )


def parse(sql: str, *, length_max: int = QUERY_LENGTH_MAX) -> Statement:
    """Take a text apart. MalformedQuery names the place, what was found, and what is supported."""
    if len(sql) > length_max:
        malformed(length_max, f"the text has {len(sql)} characters, at most {length_max} are taken")
    return _parse(sql)


_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    | (?P<foreign>--|/\*|==)
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<numbered>\$[1-9][0-9]{0,2}(?![\w$]))
    | (?P<unnumbered>\?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?!\w))
    | (?P<sign>[-+*/=<>!,.;()])""",
    re.VERBOSE,
)


class _Prepared(NamedTuple):
    """A text whose parameters are named placeholders, and how to find places in the original."""

    text: str
    shifts: tuple[tuple[int, int], ...]
    """(place here, place in the original) of the start and of each parameter."""
    uses: tuple[int, ...]
    """Where each use of a parameter stands in the original."""
    numbers: tuple[int, ...]
    """Which value each use takes, from 0."""
    parameters: int

    def original(self, position: int) -> int:
        """The original's place of a place here."""
        here, there = next(shift for shift in reversed(self.shifts) if shift[0] <= position)
        return there + position - here


def _prepare(sql: str) -> _Prepared:
    """Check every token and name the parameters, so that no dialect reads `$` or `?` its own way."""
    pieces: list[str] = []
    shifts: list[tuple[int, int]] = [(0, 0)]
    uses: list[int] = []
    numbers: list[int] = []
    here = position = depth = 0
    last = ""
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        kind = match.lastgroup if match else None
        if match is None or kind == "foreign" or (kind == "string" and last == "word"):
            malformed(position, f"found {sql[position : position + 20]!r}, which starts nothing known", hint=SUPPORTED)
        piece = match.group()
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if depth > QUERY_DEPTH_MAX:
            malformed(position, f"parentheses are nested deeper than {QUERY_DEPTH_MAX}")
        if kind in {"numbered", "unnumbered"}:
            numbers.append(int(piece[1:]) - 1 if kind == "numbered" else len(uses))
            uses.append(position)
            piece = f" :p{len(uses)} "
            shifts.append((here + len(piece), match.end()))
        pieces.append(piece)
        here += len(piece)
        position, last = match.end(), kind or ""
    count = _count_parameters(sql, numbers, uses)
    return _Prepared("".join(pieces), tuple(shifts), tuple(uses), tuple(numbers), count)


def _count_parameters(sql: str, numbers: list[int], uses: list[int]) -> int:
    """How many values a text wants. One way of writing them, and no gaps."""
    if len({sql[use] for use in uses}) > 1:
        malformed(uses[0], "parameters are either $1, $2 … or ?, found both")
    count = len(set(numbers))
    if count > PARAMETERS_MAX or set(numbers) != set(range(count)):
        malformed(uses[0], f"parameters are numbered from $1 to at most ${PARAMETERS_MAX} without gaps")
    return count


@functools.lru_cache(maxsize=PARSE_CACHE_MAX)
def _parse(sql: str) -> Statement:
    prepared = _prepare(sql)
    if not re.match(r"\s*select\b", prepared.text, re.IGNORECASE):
        malformed(0, "a query begins with SELECT", hint=SUPPORTED)
    try:
        statements = sqlglot.parse(prepared.text, dialect="postgres")
    except SqlglotError as error:
        _no_sql(error, prepared)
    except RecursionError:
        malformed(0, "the text is nested too deeply", hint=SUPPORTED)
    except Exception as error:  # noqa: BLE001  # On odd texts the parser stumbles over itself, with any exception.
        malformed(0, f"this is no SQL that can be read: {error!s:.200}", hint=SUPPORTED)
    if len(statements) != 1 or statements[0] is None:
        malformed(0, f"a query is one statement, found {len(statements)}", hint=SUPPORTED)
    return _read(statements[0], prepared)


def _no_sql(error: SqlglotError, prepared: _Prepared) -> NoReturn:
    """Say what the parser said, and where, as far as it knows."""
    known = getattr(error, "errors", None) or [{}]
    lines = prepared.text.split("\n")[: max(0, (known[0].get("line") or 1) - 1)]
    place = sum(len(line) + 1 for line in lines) + (known[0].get("col") or 1) - len(known[0].get("highlight") or " ")
    reason = _INSIDES.sub("", str(known[0].get("description") or error))
    malformed(
        prepared.original(min(max(place, 0), len(prepared.text))), f"this is no SQL: {reason:.200}", hint=SUPPORTED
    )


_INSIDES: Final = re.compile(r" for <class '[^']*'>| but got <Token .*>")
"""What the parser tells of itself."""

_ALLOWED: Final[Mapping[type[_Node], frozenset[str]]] = {
    exp.Select: frozenset({"expressions", "from", "from_", "where"}),
    exp.Star: frozenset(),
    exp.From: frozenset({"this"}),
    exp.Table: frozenset({"this"}),
    exp.Where: frozenset({"this"}),
    exp.EQ: frozenset({"this", "expression"}),
    exp.Column: frozenset({"this"}),
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.Placeholder: frozenset({"this"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Neg: frozenset({"this"}),
    exp.Boolean: frozenset({"this"}),
    exp.Null: frozenset(),
}
"""What a parse may consist of: every node's type, and the parts it may have."""


def _read(select_: _Node, prepared: _Prepared) -> Statement:
    """Take the parse apart, refusing every node and every part that is not listed."""
    for node in select_.walk():
        allowed = _ALLOWED.get(type(node))
        extra = [] if allowed is None else [name for name, part in node.args.items() if part and name not in allowed]
        if allowed is None or extra:
            found = type(node).__name__.upper() + "".join(f" with {name}" for name in extra)
            malformed(_place(node, prepared), f"{found} is outside the subset", hint=SUPPORTED)
    source, where = select_.find(exp.From), select_.args.get("where")
    if source is None or not isinstance(source.this, exp.Table) or not _is_star(select_):
        malformed(0, "expected SELECT * FROM and one table", hint=SUPPORTED)
    table = _name(source.this.this, prepared)
    if where is None:
        return Statement(table, None, prepared.parameters)
    equality = where.this
    if not isinstance(equality, exp.EQ) or not isinstance(equality.this, exp.Column):
        malformed(_place(where, prepared), "expected WHERE column = value", hint=SUPPORTED)
    column = _name(equality.this.this, prepared)
    position = _place_behind(equality.this.this, prepared)
    return Statement(table, (column, _value(equality.expression, prepared, position)), prepared.parameters)


def _is_star(select_: _Node) -> bool:
    return [type(each) for each in select_.expressions] == [exp.Star]


def _name(node: _Node, prepared: _Prepared) -> Name:
    """An identifier; unquoted ones fold to lower case."""
    if not isinstance(node, exp.Identifier):
        malformed(_place(node, prepared), "expected a plain name", hint=SUPPORTED)
    return Name(node.name if node.args.get("quoted") else node.name.lower(), _place(node, prepared))


def _value(node: _Node, prepared: _Prepared, position: int) -> Value:
    if isinstance(node, exp.Placeholder):
        use = int(node.name.removeprefix("p")) - 1
        return Value(prepared.numbers[use], None, prepared.uses[use])
    if isinstance(node, exp.Null):
        return Value(None, None, position)
    if isinstance(node, exp.Boolean):
        return Value(None, bool(node.this), position)
    inner = node.this if isinstance(node, exp.Neg) else node
    if isinstance(inner, exp.Literal) and not (inner.is_string and inner is not node):
        sign = "-" if inner is not node else ""
        return Value(None, inner.name if inner.is_string else _number(sign + inner.name, position), position)
    malformed(position, "expected a literal or a parameter behind =", hint=SUPPORTED)


def _number(text: str, position: int) -> int | Decimal:
    try:
        return int(text) if INTEGER.fullmatch(text) else Decimal(text)
    except InvalidOperation:
        malformed(position, f"the number {text:.40} is beyond every type")


def _place(node: _Node, prepared: _Prepared) -> int:
    """Where a node, or the first below it that knows, stands in the original text."""
    for each in node.walk(bfs=False):
        start = each.meta.get("start")
        if start is not None:
            return prepared.original(start)
    return 0


_EQUALS: Final = re.compile(r"\s*=\s*")


def _place_behind(column: _Node, prepared: _Prepared) -> int:
    """Where the value that a column is compared with stands in the original text."""
    equals = _EQUALS.match(prepared.text, column.meta.get("end", 0) + 1)
    return prepared.original(equals.end()) if equals else _place(column, prepared)
