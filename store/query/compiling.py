"""From a statement's values to compiled ones: names are looked up, types found, literals and parameters read.

Laws: types decide as in PostgreSQL: of two numbers the later type, an unknown literal takes the type of what it meets.
What PostgreSQL has no operator or function for is refused. A parameter is read as the type its place wants; where none
is wanted, as the type it came with.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from store.query import casts, conditions, documents, functions, numbers, texts
from store.query.expressions import Expression, folded, strict, value
from store.query.kinds import NUMBERS, Kind, kind_of_value
from store.query.problems import SUPPORTED, Trouble, malformed
from store.query.statement import Aggregate, Call, Column, Constant, Member, Parameter, Value

UNREADABLE: Final = (ValueError, TypeError, ArithmeticError, RecursionError, AttributeError)
"""What reading somebody else's value may raise."""


class Scope(Protocol):
    """What names mean, and what else depends on where a value stands."""

    def column(self, column: Column) -> Expression:
        """The column of that name. MalformedQuery where there is none, or more than one."""
        ...

    def aggregate(self, aggregate: Aggregate) -> Expression:
        """The aggregate's value. MalformedQuery where none may stand."""
        ...

    def member(self, member: Member, compiler: "Compiler") -> Expression:
        """Whether a value is in a subquery. MalformedQuery where none may stand."""
        ...

    def known(self, node: Value) -> Expression | None:
        """The value of a node that is computed already, as a group's key is; else None."""
        ...


class Compiler:
    """Compiles the values of one scope."""

    def __init__(self, scope: Scope, params: Sequence[Any]) -> None:
        self.scope: Final = scope
        self.params: Final = params

    def value(self, node: Value) -> Expression:
        """A value whose type is settled."""
        return self.settled(self._compile(node))

    def condition(self, node: Value, what: str) -> Expression:
        """A value that is a boolean."""
        return self._boolean(self._compile(node), what)

    def as_kind(self, node: Value, kind: Kind, what: str) -> Expression:
        """A value of a kind, or one that is widened to it."""
        made = self._compile(node)
        if made.kind is Kind.UNKNOWN or (
            made.kind in NUMBERS and kind in NUMBERS and NUMBERS.index(made.kind) <= NUMBERS.index(kind)
        ):
            return self.coerced(made, kind)
        if made.kind is not kind:
            malformed(node.position, f"{what} is {kind}, found {made.kind}")
        return made

    def _compile(self, node: Value) -> Expression:  # noqa: PLR0911  # A line a kind of node reads best.
        known = self.scope.known(node)
        if known is not None:
            return known
        if isinstance(node, Column):
            return self.scope.column(node)
        if isinstance(node, Constant):
            return value(casts.literal_kind(node.value), casts.literal_value(node.value), node.position)
        if isinstance(node, Parameter):
            return Expression(Kind.UNKNOWN, "parameter", (), self.params[node.number], _unsettled, node.position)
        if isinstance(node, Aggregate):
            return self.scope.aggregate(node)
        if isinstance(node, Member):
            return self.scope.member(node, self)
        handler = _CALLS.get(node.name)
        if handler is not None:
            return handler(self, node)
        args = [self._compile(each) for each in node.args]
        if node.name.startswith("cast "):
            return self._cast(args[0], Kind(node.name.removeprefix("cast ")), node.position)
        return self._function(node.name, args, node.position)

    # Types.

    def settled(self, made: Expression) -> Expression:
        """A literal or parameter whose place wants no type: text, or what the parameter came as."""
        if made.kind is not Kind.UNKNOWN:
            return made
        return self.coerced(made, kind_of_value(made.detail) if made.op == "parameter" else Kind.TEXT)

    def coerced(self, made: Expression, kind: Kind) -> Expression:
        """A value as one of that kind: read, if it was unknown, or widened."""
        if made.kind is kind:
            return made
        if made.kind is Kind.UNKNOWN:
            return self._read(made, kind)
        widen = casts.widening(made.kind, kind)
        if widen is None:
            return Expression(kind, made.op, made.args, made.detail, made.evaluate, made.position)
        return strict(f"as {kind}", kind, widen, (made,), made.position)

    def _read(self, made: Expression, kind: Kind) -> Expression:
        if kind is Kind.ARRAY:
            malformed(made.position, "arrays are not compared or computed with", hint=SUPPORTED)
        if made.op == "parameter" and kind is Kind.INT4:
            kind = Kind.INT8
        if made.detail is None:
            return value(kind, None, made.position)
        reader = casts.READERS[kind]
        assert reader is not None
        try:
            if made.op == "parameter":
                return value(kind, casts.read_parameter(kind, made.detail), made.position)
            return value(kind, reader(made.detail), made.position)
        except UNREADABLE as error:
            what = "the parameter" if made.op == "parameter" else "the literal"
            malformed(made.position, f"{what} is read as {kind}, found {show(made.detail)} ({error!s:.200})")

    def matched(self, op: str, left: Expression, right: Expression) -> tuple[Expression, Expression]:
        """Two sides of a comparison, as values of one kind."""
        if left.kind is Kind.UNKNOWN and right.kind is Kind.UNKNOWN:
            if "parameter" in {left.op, right.op}:
                left, right = (self.settled(each) if each.op == "parameter" else each for each in (left, right))
            else:
                left, right = self.settled(left), self.settled(right)
        if left.kind is Kind.UNKNOWN:
            left = self.coerced(left, right.kind)
        elif right.kind is Kind.UNKNOWN:
            right = self.coerced(right, left.kind)
        if left.kind in NUMBERS and right.kind in NUMBERS:
            return self._matched_numbers(left, right)
        if left.kind is not right.kind or left.kind is Kind.ARRAY:
            malformed(left.position, f"there is no operator {left.kind} {op} {right.kind}", hint="Cast one side")
        if left.kind is Kind.JSONB and op not in {"=", "<>"}:
            malformed(left.position, "JSON values are equal or not, they have no order here", hint=SUPPORTED)
        return left, right

    def _matched_numbers(self, left: Expression, right: Expression) -> tuple[Expression, Expression]:
        """Integers and numerics compare as they are; only constants are converted, so that 5 and $1 mean the same."""
        if Kind.FLOAT8 in {left.kind, right.kind}:
            return self.coerced(left, Kind.FLOAT8), self.coerced(right, Kind.FLOAT8)
        kind = Kind.NUMERIC if Kind.NUMERIC in {left.kind, right.kind} else Kind.INT8
        if kind is Kind.INT8 or left.is_value:
            left = self.coerced(left, kind)
        if kind is Kind.INT8 or right.is_value:
            right = self.coerced(right, kind)
        return left, right

    def common(self, args: Sequence[Expression], what: str) -> list[Expression]:
        """Alternatives, as values of one kind."""
        known = [each.kind for each in args if each.kind is not Kind.UNKNOWN]
        if not known:
            if not any(each.op == "parameter" for each in args):
                return [self.coerced(each, Kind.TEXT) for each in args]
            settled = [self.settled(each) if each.op == "parameter" else each for each in args]
            return self.common(settled, what)
        kind = max(known, key=NUMBERS.index) if all(each in NUMBERS for each in known) else known[0]
        for each in args:
            if each.kind not in {kind, Kind.UNKNOWN} and not (each.kind in NUMBERS and kind in NUMBERS):
                malformed(each.position, f"the values of {what} are {kind}, found {each.kind}")
        if kind is Kind.ARRAY:
            malformed(args[0].position, "arrays are not compared or computed with", hint=SUPPORTED)
        return [self.coerced(each, kind) for each in args]

    def _boolean(self, made: Expression, what: str) -> Expression:
        if made.kind is Kind.UNKNOWN:
            return self.coerced(made, Kind.BOOL)
        if made.kind is not Kind.BOOL:
            malformed(made.position, f"{what} takes a boolean, found {made.kind}")
        return made

    # Conditions.

    def _comparison(self, node: Call) -> Expression:
        left, right = (self._compile(each) for each in node.args)
        return self.compared(node.name, left, right, node.position)

    def compared(self, op: str, left: Expression, right: Expression, position: int) -> Expression:
        """A comparison of any two values that have one."""
        left, right = self.matched(op, left, right)
        return conditions.comparison(op, left, right, position)

    def _logic(self, node: Call) -> Expression:
        terms = [self._boolean(self._compile(each), node.name.upper()) for each in node.args]
        made = conditions.conjunction if node.name == "and" else conditions.disjunction
        return made(terms, node.position)

    def _not(self, node: Call) -> Expression:
        return conditions.negation(self._boolean(self._compile(node.args[0]), "NOT"), node.position)

    def _test(self, node: Call) -> Expression:
        inner = self._compile(node.args[0])
        inner = self.settled(inner) if node.name == "is null" else self._boolean(inner, node.name.upper())
        name = "is null" if node.name == "is unknown" else node.name  # Of a boolean they are the same.
        return conditions.test(name, inner, node.position)

    def _distinct(self, node: Call) -> Expression:
        left, right = self.matched("=", *(self._compile(each) for each in node.args))
        made = conditions.distinct(left, right, node.position)
        return made if node.name == "is distinct" else conditions.negation(made, node.position)

    def _between(self, node: Call) -> Expression:
        operand, low, high = (self._compile(each) for each in node.args)
        terms = [
            self.compared(">=", operand, low, node.position),
            self.compared("<=", operand, high, node.position),
        ]
        return conditions.conjunction(terms, node.position)

    def _in(self, node: Call) -> Expression:
        """IN of a list: constants meet as one list of one kind, everything else is compared by itself."""
        operand, *elements = (self._compile(each) for each in node.args)
        fixed = [each for each in elements if each.is_value or each.op == "parameter"]
        alone = [each for each in elements if not (each.is_value or each.op == "parameter")]
        kinds = {each.kind for each in [operand, *fixed] if each.kind is not Kind.UNKNOWN}
        if len(fixed) < 2 or (len(kinds) > 1 and not all(each in NUMBERS for each in kinds)):
            fixed, alone = [], elements
        terms = [self.compared("=", operand, each, node.position) for each in alone]
        if fixed:
            operand, *fixed = self.common([operand, *fixed], "IN")
            terms.append(conditions.among(operand, fixed, node.position))
        return conditions.disjunction(terms, node.position)

    def _like(self, node: Call) -> Expression:
        args = [self._read_as(self._compile(each), Kind.TEXT, node.name.upper()) for each in node.args]
        fold = node.name == "ilike"
        if any(each.is_value and each.detail is None for each in args):
            return value(Kind.BOOL, None, node.position)
        if all(each.is_value for each in args[1:]):
            try:
                matcher = texts.like(*self._patterns(*[each.detail for each in args[1:]]), fold=fold)
            except Trouble as trouble:
                malformed(args[1].position, str(trouble))
            made = strict(node.name, Kind.BOOL, matcher, args[:1], node.position)
            return (
                made
                if made.is_value
                else Expression(made.kind, made.op, tuple(args), None, made.evaluate, node.position)
            )

        def match(text: str, *pattern: str) -> bool:
            return texts.like(*self._patterns(*pattern), fold=fold)(text)

        return strict(node.name, Kind.BOOL, match, args, node.position)

    @staticmethod
    def _patterns(pattern: str, escape: str | None = None) -> tuple[str, str | None]:
        return pattern, escape

    def _read_as(self, made: Expression, kind: Kind, what: str) -> Expression:
        if made.kind is Kind.UNKNOWN:
            return self.coerced(made, kind)
        if made.kind is not kind:
            malformed(made.position, f"{what} takes {kind}, found {made.kind}", hint="Cast it")
        return made

    # Choices: only the value that is chosen is computed.

    def _case(self, node: Call) -> Expression:
        args = list(node.args)
        operand = self._compile(args.pop(0)) if node.name == "case of" else None
        if operand is not None and operand.op != "parameter":
            operand = self.settled(operand)
        tests: list[Expression] = []
        for each in args[:-1:2]:
            made = self._compile(each)
            if operand is None:
                tests.append(self._boolean(made, "WHEN"))
            else:
                tests.append(self.compared("=", operand, made, each.position))
        values = self.common([self._compile(each) for each in [*args[1::2], args[-1]]], "CASE")
        arms = [
            (test, made) for test, made in zip(tests, values, strict=False) if not (test.is_value and not test.detail)
        ]
        if not arms or arms[0][0].is_value:  # Constants decide it.
            return arms[0][1] if arms else values[-1]
        pairs = [(test.evaluate, made.evaluate) for test, made in arms]
        default = values[-1].evaluate

        def evaluate(row: Any) -> Any:
            for test, chosen in pairs:
                if test(row):
                    return chosen(row)
            return default(row)

        return folded(Expression(values[0].kind, "case", (*tests, *values), None, evaluate, node.position))

    def _coalesce(self, node: Call) -> Expression:
        args = self.common([self._compile(each) for each in self._some(node)], "COALESCE")
        choices = [each.evaluate for each in args]

        def evaluate(row: Any) -> Any:
            for each in choices:
                said = each(row)
                if said is not None:
                    return said
            return None

        return folded(Expression(args[0].kind, "coalesce", tuple(args), None, evaluate, node.position))

    def _nullif(self, node: Call) -> Expression:
        self._count(node, 2)
        said, other = (self._compile(each) for each in node.args)
        left, right = self.matched("=", said, other)
        if said.kind is Kind.INT4 and left.kind is Kind.INT8:
            left = said
        elif said.kind is Kind.UNKNOWN and said.op != "parameter" and other.kind is Kind.INT4:
            left = self.coerced(said, Kind.INT4)
        if {left.kind, right.kind} & {Kind.NUMERIC} and left.kind in NUMBERS:
            left = self.coerced(left, Kind.NUMERIC)
        if any(each.is_value and each.detail is None for each in (left, right)):
            return left
        first, second = left.evaluate, right.evaluate

        def evaluate(row: Any) -> Any:
            one, two = first(row), second(row)
            return None if one is not None and two is not None and one == two else one

        return folded(Expression(left.kind, "nullif", (left, right), None, evaluate, node.position))

    def _extreme(self, node: Call) -> Expression:
        """GREATEST and LEAST: NULLs do not count."""
        args = self.common([self._compile(each) for each in self._some(node)], node.name.upper())
        if args[0].kind is Kind.JSONB:
            malformed(node.position, "JSON values have no order here", hint=SUPPORTED)
        choices = [each.evaluate for each in args]
        choose: Callable[[Any], Any] = max if node.name == "greatest" else min

        def evaluate(row: Any) -> Any:
            said = [one for each in choices if (one := each(row)) is not None]
            return choose(said) if said else None

        return folded(Expression(args[0].kind, node.name, tuple(args), None, evaluate, node.position))

    # Computation.

    def _arithmetic(self, node: Call) -> Expression:
        left, right = (self._compile(each) for each in node.args)
        left, right = self._adopted(node.name, left, right)
        if left.kind not in NUMBERS or right.kind not in NUMBERS:
            malformed(node.position, f"there is no operator {left.kind} {node.name} {right.kind}", hint=SUPPORTED)
        kind = max(left.kind, right.kind, key=NUMBERS.index)
        if node.name == "%" and kind is Kind.FLOAT8:
            malformed(node.position, "% takes no double precision", hint="Cast to numeric")
        args = (self.coerced(left, kind), self.coerced(right, kind))
        return strict(node.name, kind, numbers.arithmetic(node.name, kind), args, node.position)

    def _adopted(self, op: str, left: Expression, right: Expression) -> tuple[Expression, Expression]:
        """Two sides of an operator, an unknown one as what the other is."""
        left, right = (
            self.settled(each) if each.op == "parameter" and other.kind is Kind.UNKNOWN else each
            for each, other in ((left, right), (right, left))
        )
        if left.kind is Kind.UNKNOWN and right.kind is Kind.UNKNOWN:
            malformed(left.position, f"of which type the sides of {op} are is unclear", hint="Cast one, as in '5'::int")
        if left.kind is Kind.UNKNOWN:
            left = self.coerced(left, right.kind)
        elif right.kind is Kind.UNKNOWN:
            right = self.coerced(right, left.kind)
        return left, right

    def _concatenation(self, node: Call) -> Expression:
        left, right = (self._compile(each) for each in node.args)
        kinds = {left.kind, right.kind}
        if kinds <= {Kind.BYTEA, Kind.UNKNOWN} and Kind.BYTEA in kinds:
            args = [self.coerced(each, Kind.BYTEA) for each in (left, right)]
            return strict("||", Kind.BYTEA, lambda one, two: one + two, args, node.position)
        if not kinds & {Kind.TEXT, Kind.UNKNOWN} or (Kind.UNKNOWN in kinds and kinds & {Kind.JSONB, Kind.ARRAY}):
            malformed(node.position, f"there is no operator {left.kind} || {right.kind}", hint="Cast to text")
        args = [self._cast(each, Kind.TEXT, each.position) for each in (left, right)]
        return strict("||", Kind.TEXT, lambda one, two: texts.join([one, two]), args, node.position)

    def _concat(self, node: Call) -> Expression:
        args = [self.settled(self._compile(each)) for each in self._some(node)]
        if any(each.kind is Kind.ARRAY for each in args):
            malformed(node.position, "arrays are not compared or computed with", hint=SUPPORTED)
        pieces = [(each.evaluate, each.kind) for each in args]

        def evaluate(row: Any) -> str:
            said = [(each(row), kind) for each, kind in pieces]
            try:
                return texts.join([functions.said_in_concat(kind, one) for one, kind in said if one is not None])
            except Trouble as trouble:
                malformed(node.position, str(trouble))

        return folded(Expression(Kind.TEXT, "concat", tuple(args), None, evaluate, node.position))

    def _path(self, node: Call) -> Expression:
        """#> and #>>: the path is a constant."""
        document, path = (self._compile(each) for each in node.args)
        self._check_known(node.name, document)
        document = self._read_as(document, Kind.JSONB, node.name)
        said = path.detail if path.kind is Kind.UNKNOWN else None
        if path.op == "parameter" and isinstance(said, list | tuple) and all(isinstance(each, str) for each in said):
            steps: tuple[str | None, ...] | None = tuple(said)
        elif said is None and path.kind is Kind.UNKNOWN:
            steps = None
        elif isinstance(said, str):
            try:
                steps = documents.read_path(said)
            except Trouble as trouble:
                malformed(path.position, str(trouble))
        else:
            malformed(path.position, f"{node.name} takes a path, as in '{{a,b,0}}'")
        kind = Kind.JSONB if node.name == "#>" else Kind.TEXT
        if steps is None:
            return value(kind, None, node.position)
        step = documents.get_path if node.name == "#>" else documents.get_path_text
        known = steps
        made = strict(node.name, kind, lambda one: step(one, known), (document,), node.position)
        if made.is_value:
            return made
        args = (document, *(value(Kind.TEXT, each, path.position) for each in steps))
        return Expression(kind, node.name, args, None, made.evaluate, node.position)

    def _negative(self, node: Call) -> Expression:
        inner = self._compile(node.args[0])
        if inner.kind is Kind.UNKNOWN and inner.op != "parameter":
            malformed(inner.position, "of which type the value behind - is is unclear", hint="Cast it, as in -'5'::int")
        return self._function("negative", [self.settled(inner)], node.position)

    def _step(self, node: Call) -> Expression:
        """-> and ->>: a parameter that is an integer is a place in an array."""
        document, step = (self._compile(each) for each in node.args)
        self._check_known(node.name, document)
        if step.op == "parameter":
            step = self.settled(step)
            if step.kind is Kind.INT8:
                step = Expression(Kind.INT4, step.op, step.args, step.detail, step.evaluate, step.position)
        return self._function(node.name, [document, step], node.position)

    def _containment(self, node: Call) -> Expression:
        """@> and <@."""
        args = [self._compile(each) for each in node.args]
        self._check_known(node.name, *args)
        return self._function(node.name, args, node.position)

    @staticmethod
    def _check_known(op: str, *args: Expression) -> None:
        """Refuse what is only of literals without a type: PostgreSQL has it for several, and takes none."""
        if all(each.kind is Kind.UNKNOWN and each.op != "parameter" for each in args):
            malformed(args[0].position, f"which type {op} is of is unclear", hint="Cast it, as in '{}'::jsonb")

    def _cast(self, inner: Expression, kind: Kind, position: int) -> Expression:
        if inner.kind is Kind.UNKNOWN:
            if inner.op != "parameter" or kind_of_value(inner.detail) in {Kind.TEXT, kind}:
                return self.coerced(inner, kind)
            inner = self.settled(inner)
        how = casts.cast(inner.kind, kind)
        if how is None:
            malformed(position, f"cannot cast type {inner.kind} to {kind}", hint=SUPPORTED)
        if inner.kind is kind:
            return inner
        return strict(f"cast {kind}", kind, how, (inner,), position)

    def _function(self, name: str, args: Sequence[Expression], position: int) -> Expression:
        if name == "trunc" and len(args) == 1:  # PostgreSQL has one more, of addresses.
            self._check_known(name, args[0])
        found = functions.find(name, [each.kind for each in args])
        if found is None:
            kinds = ", ".join(map(str, (each.kind for each in args)))
            takes = " or ".join(", ".join(map(str, each.takes)) for each in functions.SIGNATURES[name])
            malformed(position, f"{name} does not take ({kinds})", hint=f"It takes {takes}")
        coerced = [self.coerced(each, kind) for each, kind in zip(args, found.takes, strict=True)]
        return strict(name, found.gives, found.function, coerced, position)

    def _some(self, node: Call) -> Sequence[Value]:
        if not node.args:
            malformed(node.position, f"{node.name.upper()} takes at least one value")
        return node.args

    def _count(self, node: Call, count: int) -> None:
        if len(node.args) != count:
            malformed(node.position, f"{node.name.upper()} takes {count} values, found {len(node.args)}")


_CALLS: Final[dict[str, Callable[[Compiler, Call], Expression]]] = {
    **dict.fromkeys(conditions.COMPARISONS, Compiler._comparison),  # noqa: SLF001  # A table of its own methods.
    **dict.fromkeys(("and", "or"), Compiler._logic),  # noqa: SLF001  # As above.
    "not": Compiler._not,  # noqa: SLF001  # As above.
    **dict.fromkeys(("is null", "is unknown", "is true", "is false"), Compiler._test),  # noqa: SLF001  # As above.
    **dict.fromkeys(("is distinct", "is not distinct"), Compiler._distinct),  # noqa: SLF001  # As above.
    "between": Compiler._between,  # noqa: SLF001  # As above.
    "in": Compiler._in,  # noqa: SLF001  # As above.
    **dict.fromkeys(("like", "ilike"), Compiler._like),  # noqa: SLF001  # As above.
    **dict.fromkeys(("case", "case of"), Compiler._case),  # noqa: SLF001  # As above.
    "coalesce": Compiler._coalesce,  # noqa: SLF001  # As above.
    "nullif": Compiler._nullif,  # noqa: SLF001  # As above.
    **dict.fromkeys(("greatest", "least"), Compiler._extreme),  # noqa: SLF001  # As above.
    **dict.fromkeys("+-*/%", Compiler._arithmetic),  # noqa: SLF001  # As above.
    "negative": Compiler._negative,  # noqa: SLF001  # As above.
    "||": Compiler._concatenation,  # noqa: SLF001  # As above.
    "concat": Compiler._concat,  # noqa: SLF001  # As above.
    **dict.fromkeys(("#>", "#>>"), Compiler._path),  # noqa: SLF001  # As above.
    **dict.fromkeys(("->", "->>"), Compiler._step),  # noqa: SLF001  # As above.
    **dict.fromkeys(("@>", "<@"), Compiler._containment),  # noqa: SLF001  # As above.
}
"""What compiles the constructs that are no plain functions."""


def _unsettled(_row: Any) -> Any:
    raise AssertionError("a parameter whose type was not settled was evaluated")


def show(said: Any) -> str:
    """A value short enough for an error; of what no column holds, the type alone."""
    name = type(said).__name__
    if isinstance(said, str | bytes):
        return f"{name} {said[:40]!a}"
    return f"{name} {said!a:.60}" if isinstance(said, bool | int | float) else name
