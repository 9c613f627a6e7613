"""From a text to its statement: sqlglot reads the shape, and what it read is checked against PostgreSQL's precedence.

Laws: every node of the parse, and every part of one, is on a list; what is not is refused. A parse is taken only if no
operator binds what PostgreSQL's grammar would have bound otherwise: where the two might differ, parentheses are asked
for. A parse is remembered by its text.
"""

import functools
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from store.query.grammar import check
from store.query.lexing import LITERALS, QUERY_LENGTH_MAX, Lexed, Token, lex
from store.query.problems import SUPPORTED, malformed
from store.query.statement import (
    Aggregate,
    Call,
    Column,
    Constant,
    Member,
    Name,
    Order,
    Output,
    Parameter,
    Select,
    Source,
    Statement,
    Value,
)
from store.query.words import OTHER_OPERATORS

PARSE_CACHE_MAX: Final = 1_024
"""Texts whose parse is remembered: a parse costs a fraction of a millisecond."""
NESTING_MAX: Final = 100
"""How deep values may be nested; chains of AND and OR count once."""
SUBQUERY_DEPTH_MAX: Final = 8
"""How deep subqueries may be nested."""

_Node = Any
"""A node of the parse: the name of its base class is the parser's own affair."""


def parse(sql: str, *, length_max: int = QUERY_LENGTH_MAX) -> Statement:
    """Take a text apart. MalformedQuery names the place, what was found, and what is supported."""
    if len(sql) > length_max:
        malformed(length_max, f"the text has {len(sql)} characters, at most {length_max} are taken")
    return _parse(sql)


@functools.lru_cache(maxsize=PARSE_CACHE_MAX)
def _parse(sql: str) -> Statement:
    lexed = lex(sql)
    if not lexed.tokens or lexed.tokens[0].value != "select":
        malformed(lexed.position(0), "a query begins with SELECT", hint=SUPPORTED)
    check(lexed)
    try:
        statements = sqlglot.parse(lexed.shape, dialect="postgres")
    except SqlglotError as error:
        _no_sql(error, lexed)
    except RecursionError:
        malformed(0, "the text is nested too deeply")
    except Exception:  # noqa: BLE001  # On odd texts the parser stumbles over itself, with any exception.
        malformed(0, "this is no SQL that can be read", hint=SUPPORTED)
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        malformed(0, "a query is one SELECT", hint=SUPPORTED)
    reader = _Reader(lexed)
    try:
        select = reader.select(statements[0], 0)
        reader.check_all_read()
    except (AttributeError, ValueError, TypeError, KeyError, IndexError):  # A tree with less in it than it should have.
        malformed(0, "this is no SQL that can be read", hint=SUPPORTED)
    return Statement(select, lexed.parameters, lexed.explain, lexed.length)


def _no_sql(error: SqlglotError, lexed: Lexed) -> NoReturn:
    """Say what the parser said, and where, as far as it knows."""
    known = (getattr(error, "errors", None) or [{}])[0]
    place = (known.get("col") or 1) - len(known.get("highlight") or " ")
    reason = _INSIDES.sub("", str(known.get("description") or error))
    position = lexed.position(max(place, 0))
    malformed(position, f"this is no SQL: {reason:.200}", hint=SUPPORTED)


_INSIDES: Final = re.compile(r" for <class '[^']*'>| but got <Token .*>")
"""What the parser tells of itself."""


# How tightly things bind, as PostgreSQL's grammar says (gram.y); a higher level binds tighter.
_OR, _AND, _NOT, _IS, _COMPARE, _IN, _OTHER, _ADD, _MULTIPLY, _NEGATE, _PRIMARY = range(1, 12)

_BINARY: Final[Mapping[type[_Node], tuple[str, int]]] = {
    exp.EQ: ("=", _COMPARE),
    exp.NEQ: ("<>", _COMPARE),
    exp.LT: ("<", _COMPARE),
    exp.LTE: ("<=", _COMPARE),
    exp.GT: (">", _COMPARE),
    exp.GTE: (">=", _COMPARE),
    exp.NullSafeEQ: ("is not distinct", _IS),
    exp.NullSafeNEQ: ("is distinct", _IS),
    exp.Like: ("like", _IN),
    exp.ILike: ("ilike", _IN),
    exp.DPipe: ("||", _OTHER),
    exp.Add: ("+", _ADD),
    exp.Sub: ("-", _ADD),
    exp.Mul: ("*", _MULTIPLY),
    exp.Div: ("/", _MULTIPLY),
    exp.Mod: ("%", _MULTIPLY),
}
_LEVELS: Final[Mapping[type[_Node], int]] = {
    **{kind: level for kind, (_, level) in _BINARY.items()},
    exp.Or: _OR,
    exp.And: _AND,
    exp.Not: _NOT,
    exp.Is: _IS,
    exp.Escape: _IN,
    exp.In: _IN,
    exp.Between: _IN,
    exp.Neg: _NEGATE,
}
_LEFT_ASSOCIATIVE: Final = frozenset({_OTHER, _ADD, _MULTIPLY})

_PARTS: Final[Mapping[type[_Node], frozenset[str]]] = {
    **dict.fromkeys(_BINARY, frozenset({"this", "expression"})),
    exp.Or: frozenset({"this", "expression"}),
    exp.And: frozenset({"this", "expression"}),
    exp.Not: frozenset({"this"}),
    exp.Is: frozenset({"this", "expression", "negate"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    exp.ILike: frozenset({"this", "expression", "negate"}),
    exp.DPipe: frozenset({"this", "expression", "safe"}),
    exp.Div: frozenset({"this", "expression", "typed"}),
    exp.Escape: frozenset({"this", "expression"}),
    exp.In: frozenset({"this", "expressions", "query"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Neg: frozenset({"this"}),
    exp.Paren: frozenset({"this"}),
    exp.Column: frozenset({"this", "table"}),
    exp.Identifier: frozenset({"this"}),
    exp.Placeholder: frozenset({"this"}),
    exp.Boolean: frozenset({"this"}),
    exp.Null: frozenset(),
    exp.Cast: frozenset({"this", "to"}),
    exp.Anonymous: frozenset({"this", "expressions"}),
    exp.Case: frozenset({"this", "ifs", "default"}),
    exp.If: frozenset({"this", "true"}),
    exp.Trim: frozenset({"this", "expression", "position"}),
    exp.Substring: frozenset({"this", "start", "length"}),
    exp.StrPosition: frozenset({"this", "substr"}),
    exp.Count: frozenset({"this", "big_int"}),
    exp.Sum: frozenset({"this"}),
    exp.Min: frozenset({"this"}),
    exp.Max: frozenset({"this"}),
    exp.Avg: frozenset({"this"}),
    exp.Distinct: frozenset({"expressions"}),
    exp.Star: frozenset(),
    exp.Alias: frozenset({"this", "alias"}),
    exp.Select: frozenset(
        {
            "expressions",
            "distinct",
            "from",
            "from_",
            "joins",
            "where",
            "group",
            "having",
            "order",
            "limit",
            "offset",
        }
    ),
    exp.Subquery: frozenset({"this"}),
    exp.From: frozenset({"this"}),
    exp.Table: frozenset({"this", "alias", "joins"}),
    exp.TableAlias: frozenset({"this"}),
    exp.Join: frozenset({"this", "on", "side", "kind"}),
    exp.Where: frozenset({"this"}),
    exp.Group: frozenset({"expressions"}),
    exp.Having: frozenset({"this"}),
    exp.Order: frozenset({"expressions"}),
    exp.Ordered: frozenset({"this", "desc", "nulls_first"}),
    exp.Limit: frozenset({"expression"}),
    exp.Offset: frozenset({"expression"}),
}
"""What a parse may consist of: every node's type, and the parts it may have."""

_AGGREGATES: Final = {exp.Count: "count", exp.Sum: "sum", exp.Min: "min", exp.Max: "max", exp.Avg: "avg"}


class _Reader:
    """From the parse of one text to its statement."""

    def __init__(self, lexed: Lexed) -> None:
        self._lexed: Final = lexed
        self._depth = 0
        self._read: Final[set[int]] = set()
        """The stand-ins that were met: a parser that leaves one out has read something else."""
        self._handlers: Final[dict[type[_Node], Callable[[_Node], Value]]] = {
            exp.Or: self._chain,
            exp.And: self._chain,
            exp.Not: self._not,
            exp.Is: self._is,
            exp.Like: self._like,
            exp.ILike: self._like,
            exp.Escape: self._escape,
            exp.In: self._in,
            exp.Between: self._between,
            exp.Neg: self._negative,
            exp.Paren: lambda node: self.value(node.this),
            exp.Column: self._column,
            exp.Placeholder: self._placeholder,
            exp.Cast: self._cast,
            exp.Anonymous: self._function,
            exp.Case: self._case,
            exp.Trim: self._trim,
            exp.Substring: self._substring,
            exp.StrPosition: self._position,
            **dict.fromkeys(_AGGREGATES, self._aggregate),
        }

    def check_all_read(self) -> None:
        """Refuse where the parser dropped a token that means something."""
        for index, token in enumerate(self._lexed.tokens):
            if token.kind not in {"keyword", "sign"} and index not in self._read:
                malformed(token.position, "this is no SQL here", hint=SUPPORTED)

    def _token(self, stand_in: str, *kinds: str) -> Token:
        """The token that a stand-in stands for. MalformedQuery where it is none of those that may stand there."""
        index = int(re.sub(r"^\D+", "", stand_in))
        self._read.add(index)
        token = self._lexed.tokens[index]
        if token.kind not in kinds:  # As where a quoted name is called, or AS stands before a function.
            malformed(token.position, f"a {token.kind} cannot stand here", hint=SUPPORTED)
        return token

    # Values.

    def value(self, node: _Node) -> Value:
        """One value."""
        handler = self._handlers.get(type(node)) or (self._binary if type(node) in _BINARY else None)
        if handler is None:
            self._refuse(node)
        self._check_parts(node)
        self._depth += 1
        if self._depth > NESTING_MAX:
            malformed(self._place(node), f"values are nested deeper than {NESTING_MAX}")
        made = handler(node)
        self._depth -= 1
        return made

    def _operand(self, node: _Node, level: int) -> Value:
        """A value beside an operator, which must bind at least as tightly as `level`."""
        if _LEVELS.get(type(node), _PRIMARY) < level:
            malformed(self._place(node), "what binds first is unclear here", hint="Put it into parentheses")
        return self.value(node)

    def _binary(self, node: _Node) -> Value:
        name, level = _BINARY[type(node)]
        left = self._operand(node.this, level if level in _LEFT_ASSOCIATIVE else level + 1)
        right = self._operand(node.expression, level + 1)
        if level == _OTHER:
            name = self._operator_before(node.expression)
        return Call(name, (left, right), left.position)

    def _operator_before(self, node: _Node) -> str:
        """Which operator stands before a value: between them stands nothing that looks like one."""
        index = min(self._indices(node))
        tokens = self._lexed.tokens
        while tokens[index].kind != "sign" or tokens[index].value not in OTHER_OPERATORS:
            index -= 1
        return str(tokens[index].value)

    def _chain(self, node: _Node) -> Value:
        """All terms of an AND or OR, however many, without going deeper."""
        kind, name = type(node), "and" if isinstance(node, exp.And) else "or"
        terms: list[Value] = []
        waiting = [node]
        while waiting:
            each = waiting.pop()
            if type(each) is kind:
                self._check_parts(each)
                waiting += [each.expression, each.this]
            else:
                terms.append(self._operand(each, _LEVELS[kind]))
        return Call(name, tuple(terms), terms[0].position)

    def _not(self, node: _Node) -> Value:
        inner = self._operand(node.this, _NOT)
        return Call("not", (inner,), inner.position)

    def _is(self, node: _Node) -> Value:
        operand = self._operand(node.this, _IS)
        said = node.expression
        if isinstance(said, exp.Null):
            name = "null"
        elif isinstance(said, exp.Boolean):
            name = "true" if said.this else "false"
        elif isinstance(said, exp.Placeholder):
            name = self._token(said.name, "keyword").value
        else:
            self._refuse(said)
        test = Call(f"is {name}", (operand,), operand.position)
        return Call("not", (test,), operand.position) if node.args.get("negate") else test

    def _like(self, node: _Node) -> Value:
        made = self._binary(node)
        return Call("not", (made,), made.position) if node.args.get("negate") else made

    def _escape(self, node: _Node) -> Value:
        like = node.this
        if type(like) not in {exp.Like, exp.ILike}:
            self._refuse(node)
        self._check_parts(like)
        made = self._binary(like)
        assert isinstance(made, Call)
        made = Call(made.name, (*made.args, self._operand(node.expression, _IN + 1)), made.position)
        return Call("not", (made,), made.position) if like.args.get("negate") else made

    def _in(self, node: _Node) -> Value:
        operand = self._operand(node.this, _IN + 1)
        query = node.args.get("query")
        if query is None:
            if not node.expressions:
                malformed(operand.position, "IN wants values or a SELECT in its parentheses")
            args = (operand, *(self.value(each) for each in node.expressions))
            return Call("in", args, operand.position)
        self._check_parts(query)
        if not isinstance(query, exp.Subquery) or not isinstance(query.this, exp.Select):
            self._refuse(query)
        return Member(operand, self.select(query.this, operand.position), operand.position)

    def _between(self, node: _Node) -> Value:
        args = [self._operand(node.args[each], _IN + 1) for each in ("this", "low", "high")]
        return Call("between", tuple(args), args[0].position)

    def _negative(self, node: _Node) -> Value:
        inner = self._operand(node.this, _NEGATE)
        if isinstance(inner, Constant) and isinstance(inner.value, int | Decimal) and not isinstance(inner.value, bool):
            said = inner.value  # A number has its sign before it has a type: only so is there a least integer.
            return Constant(-said if isinstance(said, int) or not said else said.copy_negate(), inner.position)
        return Call("negative", (inner,), inner.position)

    def _column(self, node: _Node) -> Value:
        if not isinstance(node.this, exp.Identifier):
            self._refuse(node)
        source = node.args.get("table")
        name = self._name(node.this)
        if source is None:
            return Column(None, name.text, name.position)
        source = self._name(source)
        return Column(source.text, name.text, source.position)

    def _placeholder(self, node: _Node) -> Value:
        token = self._token(node.name, *LITERALS)
        if token.kind == "parameter":
            return Parameter(token.value, token.position)
        return Constant(token.value, token.position)

    def _cast(self, node: _Node) -> Value:
        inner = self.value(node.this)
        kind = node.args["to"].args.get("kind")
        if not isinstance(kind, exp.Identifier) or node.args["to"].expressions:
            self._refuse(node)
        token = self._token(kind.name, "type")
        return Call(f"cast {token.value}", (inner,), token.position)

    def _function(self, node: _Node) -> Value:
        token = self._token(str(node.this), "function")
        if token.value == "count":
            return Aggregate("count", None, distinct=False, position=token.position)
        return Call(token.value, tuple(self.value(each) for each in node.expressions), token.position)

    def _case(self, node: _Node) -> Value:
        operand, default = node.args.get("this"), node.args.get("default")
        args = [] if operand is None else [self.value(operand)]
        for each in node.args["ifs"]:
            self._check_parts(each)
            args += [self.value(each.this), self.value(each.args["true"])]
        args.append(Constant(None, args[0].position) if default is None else self.value(default))
        return Call("case" if operand is None else "case of", tuple(args), args[0].position)

    def _trim(self, node: _Node) -> Value:
        side = {"": "btrim", "BOTH": "btrim", "LEADING": "ltrim", "TRAILING": "rtrim"}[node.args.get("position") or ""]
        return self._call(side, node.this, node.args.get("expression"))

    def _substring(self, node: _Node) -> Value:
        start = node.args.get("start")
        if isinstance(start, exp.Literal):  # The parser's own 1, where only FOR was written.
            args = [self.value(node.this), Constant(int(start.this), 0), self.value(node.args["length"])]
            return Call("substr", tuple(args), args[0].position)
        return self._call("substr", node.this, start, node.args.get("length"))

    def _position(self, node: _Node) -> Value:
        return self._call("strpos", node.this, node.args.get("substr"))

    def _call(self, name: str, *nodes: _Node) -> Value:
        args = tuple(self.value(each) for each in nodes if each is not None)
        return Call(name, args, args[0].position)

    def _aggregate(self, node: _Node) -> Value:
        name, inner = _AGGREGATES[type(node)], node.this
        if isinstance(inner, exp.Star):
            self._refuse(inner)
        if not isinstance(inner, exp.Distinct):
            value = self.value(inner)
            return Aggregate(name, value, distinct=False, position=value.position)
        self._check_parts(inner)
        if len(inner.expressions) != 1:
            self._refuse(inner)
        value = self.value(inner.expressions[0])
        return Aggregate(name, value, distinct=True, position=value.position)

    # The SELECT around them.

    def select(self, node: _Node, position: int) -> Select:
        """One SELECT, which may hold others."""
        self._check_parts(node)
        if self._subqueries(node) > SUBQUERY_DEPTH_MAX:
            malformed(position, f"subqueries are nested deeper than {SUBQUERY_DEPTH_MAX}")
        depth, self._depth = self._depth, 0
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            self._refuse(distinct)
        made = Select(
            outputs=tuple(self._output(each) for each in node.expressions),
            distinct=distinct is not None,
            sources=self._sources(node, position),
            where=self._clause(node, "where"),
            group=self._group(node),
            having=self._clause(node, "having"),
            order=self._order(node),
            limit=self._clause(node, "limit", "expression"),
            offset=self._clause(node, "offset", "expression"),
            position=position,
        )
        if not made.outputs:
            malformed(position, "a SELECT names what it wants", hint="Say * for all columns")
        self._depth = depth
        return made

    @staticmethod
    def _subqueries(node: _Node) -> int:
        depth = 0
        while (node := node.parent) is not None:
            depth += isinstance(node, exp.Select)
        return depth

    def _output(self, node: _Node) -> Output:
        alias = None
        if isinstance(node, exp.Alias):
            self._check_parts(node)
            alias = self._name(node.args["alias"]).text
            node = node.this
        if isinstance(node, exp.Star) and alias is None:
            self._check_parts(node)
            return Output(None, None, None, self._place(node))
        if isinstance(node, exp.Column) and isinstance(node.this, exp.Star) and alias is None:
            self._check_parts(node)
            source = self._name(node.args["table"])
            return Output(None, None, source.text, source.position)
        value = self.value(node)
        return Output(value, alias, None, value.position)

    def _sources(self, node: _Node, position: int) -> tuple[Source, ...]:
        first = node.args.get("from_") or node.args.get("from")
        if first is None:
            malformed(position, "expected FROM and a table", hint=SUPPORTED)
        self._check_parts(first)
        made = [self._source(first.this)]
        for join in [*(first.this.args.get("joins") or []), *(node.args.get("joins") or [])]:
            self._check_parts(join)
            side, kind, on = join.args.get("side"), join.args.get("kind"), join.args.get("on")
            if side not in {None, "", "LEFT"} or kind not in {None, "", "INNER", "OUTER"} or on is None:
                malformed(
                    self._place(join.this), "tables are joined by JOIN or LEFT JOIN, each with ON", hint=SUPPORTED
                )
            made.append(self._source(join.this)._replace(on=self.value(on), outer=side == "LEFT"))
        return tuple(made)

    def _source(self, node: _Node) -> Source:
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            self._refuse(node)
        self._check_parts(node)
        alias = node.args.get("alias")
        if alias is not None:
            self._check_parts(alias)
        return Source(self._name(node.this), None if alias is None else self._name(alias.this).text, None, outer=False)

    def _clause(self, node: _Node, name: str, part: str = "this") -> Value | None:
        clause = node.args.get(name)
        if clause is None:
            return None
        self._check_parts(clause)
        return self.value(clause.args[part])

    def _group(self, node: _Node) -> tuple[Value, ...]:
        group = node.args.get("group")
        if group is None:
            return ()
        self._check_parts(group)
        if not group.expressions:
            self._refuse(group)
        return tuple(self.value(each) for each in group.expressions)

    def _order(self, node: _Node) -> tuple[Order, ...]:
        order = node.args.get("order")
        if order is None:
            return ()
        self._check_parts(order)
        keys = []
        for each in order.expressions:
            self._check_parts(each)
            value = self.value(each.this)
            keys.append(Order(value, bool(each.args.get("desc")), bool(each.args.get("nulls_first"))))
        return tuple(keys)

    # What is allowed, and where it stands.

    def _name(self, node: _Node) -> Name:
        if not isinstance(node, exp.Identifier):
            self._refuse(node)
        self._check_parts(node)
        token = self._token(node.name, "name")
        return Name(token.value, token.position)

    def _check_parts(self, node: _Node) -> None:
        allowed = _PARTS.get(type(node))
        if allowed is None or any(part and name not in allowed for name, part in node.args.items()):
            self._refuse(node)

    def _refuse(self, node: _Node) -> NoReturn:
        what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()
        malformed(self._place(node), f"{what} is not supported here", hint=SUPPORTED)

    def _place(self, node: _Node) -> int:
        """Where a node, or the first below it that knows, stands in the original text."""
        return self._lexed.tokens[min(self._indices(node), default=0)].position

    @staticmethod
    def _indices(node: _Node) -> list[int]:
        """The tokens that stand-ins below a node stand for."""
        return [
            int(each.name[1:])
            for each in node.walk()
            if isinstance(each, exp.Identifier | exp.Placeholder | exp.Anonymous) and each.name[1:].isdecimal()
        ]
