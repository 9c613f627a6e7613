"""From the parse of a value to the statement's: operators, conditions, functions, CASE, casts, aggregates.

Laws: a parse is taken only if no operator binds what PostgreSQL's grammar would have bound otherwise: where the two
might differ, parentheses are asked for.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from sqlglot import exp

from store.query.problems import malformed
from store.query.syntax.lexing import LITERALS, Lexed
from store.query.syntax.nodes import AGGREGATES, BINARY, LEFT_ASSOCIATIVE, LEVELS, Level, Node
from store.query.syntax.statement import Aggregate, Call, Column, Constant, Member, Parameter, Select, Value
from store.query.syntax.tree import Tree
from store.query.syntax.words import OTHER_OPERATORS

NESTING_MAX: Final = 100
"""How deep values may be nested; chains of AND and OR count once."""


class ValueReader(Tree):
    """Reads the values of one text."""

    def __init__(self, lexed: Lexed) -> None:
        super().__init__(lexed)
        self.depth = 0
        """How deep the value that is read is nested, in its own SELECT."""
        self._handlers: Final[dict[type[Node], Callable[[Node], Value]]] = {
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
            **dict.fromkeys(AGGREGATES, self._aggregate),
        }

    def select(self, node: Node, position: int) -> Select:
        """A subquery."""
        raise NotImplementedError

    def value(self, node: Node) -> Value:
        """One value."""
        handler = self._handlers.get(type(node)) or (self._binary if type(node) in BINARY else None)
        if handler is None:
            self.refuse(node)
        self.check_parts(node)
        self.depth += 1
        if self.depth > NESTING_MAX:
            malformed(self.place(node), f"values are nested deeper than {NESTING_MAX}")
        made = handler(node)
        self.depth -= 1
        return made

    def _operand(self, node: Node, level: int) -> Value:
        """A value beside an operator, which must bind at least as tightly as `level`."""
        if LEVELS.get(type(node), Level.PRIMARY) < level:
            malformed(self.place(node), "what binds first is unclear here", hint="Put it into parentheses")
        return self.value(node)

    def _binary(self, node: Node) -> Value:
        name, level = BINARY[type(node)]
        left = self._operand(node.this, level if level in LEFT_ASSOCIATIVE else level + 1)
        right = self._operand(node.expression, level + 1)
        if level == Level.OTHER:
            name = self._operator_before(node.expression)
        return Call(name, (left, right), left.position)

    def _operator_before(self, node: Node) -> str:
        """Which operator stands before a value: between them stands nothing that looks like one."""
        index = min(self.indices(node))
        tokens = self.lexed.tokens
        while tokens[index].kind != "sign" or tokens[index].value not in OTHER_OPERATORS:
            index -= 1
        return str(tokens[index].value)

    def _chain(self, node: Node) -> Value:
        """All terms of an AND or OR, however many, without going deeper."""
        kind, name = type(node), "and" if isinstance(node, exp.And) else "or"
        terms: list[Value] = []
        waiting = [node]
        while waiting:
            each = waiting.pop()
            if type(each) is kind:
                self.check_parts(each)
                waiting += [each.expression, each.this]
            else:
                terms.append(self._operand(each, LEVELS[kind]))
        return Call(name, tuple(terms), terms[0].position)

    def _not(self, node: Node) -> Value:
        inner = self._operand(node.this, Level.NOT)
        return Call("not", (inner,), inner.position)

    def _is(self, node: Node) -> Value:
        operand = self._operand(node.this, Level.IS)
        said = node.expression
        if isinstance(said, exp.Null):
            name = "null"
        elif isinstance(said, exp.Boolean):
            name = "true" if said.this else "false"
        elif isinstance(said, exp.Placeholder):
            name = self.token(said.name, "keyword").value
        else:
            self.refuse(said)
        test = Call(f"is {name}", (operand,), operand.position)
        return Call("not", (test,), operand.position) if node.args.get("negate") else test

    def _like(self, node: Node) -> Value:
        made = self._binary(node)
        return Call("not", (made,), made.position) if node.args.get("negate") else made

    def _escape(self, node: Node) -> Value:
        like = node.this
        if type(like) not in {exp.Like, exp.ILike}:
            self.refuse(node)
        self.check_parts(like)
        made = self._binary(like)
        assert isinstance(made, Call)
        made = Call(made.name, (*made.args, self._operand(node.expression, Level.IN + 1)), made.position)
        return Call("not", (made,), made.position) if like.args.get("negate") else made

    def _in(self, node: Node) -> Value:
        operand = self._operand(node.this, Level.IN + 1)
        query = node.args.get("query")
        if query is None:
            if not node.expressions:
                malformed(operand.position, "IN wants values or a SELECT in its parentheses")
            args = (operand, *(self.value(each) for each in node.expressions))
            return Call("in", args, operand.position)
        self.check_parts(query)
        if not isinstance(query, exp.Subquery) or not isinstance(query.this, exp.Select):
            self.refuse(query)
        return Member(operand, self.select(query.this, operand.position), operand.position)

    def _between(self, node: Node) -> Value:
        args = [self._operand(node.args[each], Level.IN + 1) for each in ("this", "low", "high")]
        return Call("between", tuple(args), args[0].position)

    def _negative(self, node: Node) -> Value:
        inner = self._operand(node.this, Level.NEGATE)
        if isinstance(inner, Constant) and isinstance(inner.value, int | Decimal) and not isinstance(inner.value, bool):
            said = inner.value  # A number has its sign before it has a type: only so is there a least integer.
            return Constant(-said if isinstance(said, int) or not said else said.copy_negate(), inner.position)
        return Call("negative", (inner,), inner.position)

    def _column(self, node: Node) -> Value:
        if not isinstance(node.this, exp.Identifier):
            self.refuse(node)
        source = node.args.get("table")
        name = self.name(node.this)
        if source is None:
            return Column(None, name.text, name.position)
        source = self.name(source)
        return Column(source.text, name.text, source.position)

    def _placeholder(self, node: Node) -> Value:
        token = self.token(node.name, *LITERALS)
        if token.kind == "parameter":
            return Parameter(token.value, token.position)
        return Constant(token.value, token.position)

    def _cast(self, node: Node) -> Value:
        inner = self.value(node.this)
        kind = node.args["to"].args.get("kind")
        if not isinstance(kind, exp.Identifier) or node.args["to"].expressions:
            self.refuse(node)
        token = self.token(kind.name, "type")
        return Call(f"cast {token.value}", (inner,), token.position)

    def _function(self, node: Node) -> Value:
        token = self.token(str(node.this), "function")
        if token.value == "count":
            return Aggregate("count", None, distinct=False, position=token.position)
        return Call(token.value, tuple(self.value(each) for each in node.expressions), token.position)

    def _case(self, node: Node) -> Value:
        operand, default = node.args.get("this"), node.args.get("default")
        args = [] if operand is None else [self.value(operand)]
        for each in node.args["ifs"]:
            self.check_parts(each)
            args += [self.value(each.this), self.value(each.args["true"])]
        args.append(Constant(None, args[0].position) if default is None else self.value(default))
        return Call("case" if operand is None else "case of", tuple(args), args[0].position)

    def _trim(self, node: Node) -> Value:
        side = {"": "btrim", "BOTH": "btrim", "LEADING": "ltrim", "TRAILING": "rtrim"}[node.args.get("position") or ""]
        return self._call(side, node.this, node.args.get("expression"))

    def _substring(self, node: Node) -> Value:
        start = node.args.get("start")
        if isinstance(start, exp.Literal):  # The parser's own 1, where only FOR was written.
            args = [self.value(node.this), Constant(int(start.this), 0), self.value(node.args["length"])]
            return Call("substr", tuple(args), args[0].position)
        return self._call("substr", node.this, start, node.args.get("length"))

    def _position(self, node: Node) -> Value:
        return self._call("strpos", node.this, node.args.get("substr"))

    def _call(self, name: str, *nodes: Node) -> Value:
        args = tuple(self.value(each) for each in nodes if each is not None)
        return Call(name, args, args[0].position)

    def _aggregate(self, node: Node) -> Value:
        name, inner = AGGREGATES[type(node)], node.this
        if isinstance(inner, exp.Star):
            self.refuse(inner)
        if not isinstance(inner, exp.Distinct):
            value = self.value(inner)
            return Aggregate(name, value, distinct=False, position=value.position)
        self.check_parts(inner)
        if len(inner.expressions) != 1:
            self.refuse(inner)
        value = self.value(inner.expressions[0])
        return Aggregate(name, value, distinct=True, position=value.position)
