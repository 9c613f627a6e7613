"""From a text to its statement: sqlglot reads the shape, and what it read is taken over clause by clause.

Laws: every node of the parse, and every part of one, is on a list (nodes); what is not is refused. A parse is
remembered by its text.
"""

import functools
import re
from typing import Final, NoReturn

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from store.query.problems import SUPPORTED, malformed
from store.query.syntax.grammar import check
from store.query.syntax.lexing import QUERY_LENGTH_MAX, Lexed, lex
from store.query.syntax.nodes import Node
from store.query.syntax.statement import Order, Output, Select, Source, Statement, Value
from store.query.syntax.values import ValueReader

PARSE_CACHE_MAX: Final = 1_024
"""Texts whose parse is remembered: a parse costs a fraction of a millisecond."""
SUBQUERY_DEPTH_MAX: Final = 8
"""How deep subqueries may be nested."""


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


class _Reader(ValueReader):
    """From the parse of one text to its statement."""

    def select(self, node: Node, position: int) -> Select:
        """One SELECT, which may hold others."""
        self.check_parts(node)
        if self._subqueries(node) > SUBQUERY_DEPTH_MAX:
            malformed(position, f"subqueries are nested deeper than {SUBQUERY_DEPTH_MAX}")
        depth, self.depth = self.depth, 0
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            self.refuse(distinct)
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
        self.depth = depth
        return made

    @staticmethod
    def _subqueries(node: Node) -> int:
        depth = 0
        while (node := node.parent) is not None:
            depth += isinstance(node, exp.Select)
        return depth

    def _output(self, node: Node) -> Output:
        alias = None
        if isinstance(node, exp.Alias):
            self.check_parts(node)
            alias = self.name(node.args["alias"]).text
            node = node.this
        if isinstance(node, exp.Star) and alias is None:
            self.check_parts(node)
            return Output(None, None, None, self.place(node))
        if isinstance(node, exp.Column) and isinstance(node.this, exp.Star) and alias is None:
            self.check_parts(node)
            source = self.name(node.args["table"])
            return Output(None, None, source.text, source.position)
        value = self.value(node)
        return Output(value, alias, None, value.position)

    def _sources(self, node: Node, position: int) -> tuple[Source, ...]:
        first = node.args.get("from_") or node.args.get("from")
        if first is None:
            malformed(position, "expected FROM and a table", hint=SUPPORTED)
        self.check_parts(first)
        made = [self._source(first.this)]
        for join in [*(first.this.args.get("joins") or []), *(node.args.get("joins") or [])]:
            self.check_parts(join)
            side, kind, on = join.args.get("side"), join.args.get("kind"), join.args.get("on")
            if side not in {None, "", "LEFT"} or kind not in {None, "", "INNER", "OUTER"} or on is None:
                malformed(self.place(join.this), "tables are joined by JOIN or LEFT JOIN, each with ON", hint=SUPPORTED)
            made.append(self._source(join.this)._replace(on=self.value(on), outer=side == "LEFT"))
        return tuple(made)

    def _source(self, node: Node) -> Source:
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            self.refuse(node)
        self.check_parts(node)
        alias = node.args.get("alias")
        if alias is not None:
            self.check_parts(alias)
        return Source(self.name(node.this), None if alias is None else self.name(alias.this).text, None, outer=False)

    def _clause(self, node: Node, name: str, part: str = "this") -> Value | None:
        clause = node.args.get(name)
        if clause is None:
            return None
        self.check_parts(clause)
        return self.value(clause.args[part])

    def _group(self, node: Node) -> tuple[Value, ...]:
        group = node.args.get("group")
        if group is None:
            return ()
        self.check_parts(group)
        if not group.expressions:
            self.refuse(group)
        return tuple(self.value(each) for each in group.expressions)

    def _order(self, node: Node) -> tuple[Order, ...]:
        order = node.args.get("order")
        if order is None:
            return ()
        self.check_parts(order)
        keys = []
        for each in order.expressions:
            self.check_parts(each)
            value = self.value(each.this)
            keys.append(Order(value, bool(each.args.get("desc")), bool(each.args.get("nulls_first"))))
        return tuple(keys)
