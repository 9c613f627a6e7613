"""The constructs of the language that are no plain functions: what each makes of its arguments.

Laws: arguments are compiled already; a construct says of which kinds they must be, and what is computed of them. Of
choices only the value that is chosen is computed.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from store.query.meaning import conditions
from store.query.meaning.coercion import (
    adopted,
    boolean,
    cast,
    check_known,
    coerced,
    common,
    function,
    matched,
    read_as,
    settled,
)
from store.query.meaning.expressions import Expression, folded, strict, value
from store.query.problems import SUPPORTED, Trouble, malformed
from store.query.syntax.statement import Call
from store.query.types import documents, functions, numbers, texts
from store.query.types.kinds import NUMBERS, Kind

Args = Sequence[Expression]


# Conditions.


def _comparison(node: Call, args: Args) -> Expression:
    left, right = args
    return compared(node.name, left, right, node.position)


def _logic(node: Call, args: Args) -> Expression:
    terms = [boolean(each, node.name.upper()) for each in args]
    made = conditions.conjunction if node.name == "and" else conditions.disjunction
    return made(terms, node.position)


def _not(node: Call, args: Args) -> Expression:
    return conditions.negation(boolean(args[0], "NOT"), node.position)


def _test(node: Call, args: Args) -> Expression:
    inner = settled(args[0]) if node.name == "is null" else boolean(args[0], node.name.upper())
    name = "is null" if node.name == "is unknown" else node.name  # Of a boolean they are the same.
    return conditions.test(name, inner, node.position)


def _distinct(node: Call, args: Args) -> Expression:
    left, right = matched("=", *args)
    made = conditions.distinct(left, right, node.position)
    return made if node.name == "is distinct" else conditions.negation(made, node.position)


def compared(op: str, left: Expression, right: Expression, position: int) -> Expression:
    """A comparison of any two values that have one."""
    left, right = matched(op, left, right)
    return conditions.comparison(op, left, right, position)


def _between(node: Call, args: Args) -> Expression:
    operand, low, high = args
    terms = [
        compared(">=", operand, low, node.position),
        compared("<=", operand, high, node.position),
    ]
    return conditions.conjunction(terms, node.position)


def _in(node: Call, args: Args) -> Expression:
    """IN of a list: constants meet as one list of one kind, everything else is compared by itself."""
    operand, *elements = args
    fixed = [each for each in elements if each.is_value or each.op == "parameter"]
    alone = [each for each in elements if not (each.is_value or each.op == "parameter")]
    kinds = {each.kind for each in [operand, *fixed] if each.kind is not Kind.UNKNOWN}
    if len(fixed) < 2 or (len(kinds) > 1 and not all(each in NUMBERS for each in kinds)):
        fixed, alone = [], elements
    terms = [compared("=", operand, each, node.position) for each in alone]
    if fixed:
        operand, *fixed = common([operand, *fixed], "IN")
        terms.append(conditions.among(operand, fixed, node.position))
    return conditions.disjunction(terms, node.position)


def _like(node: Call, args: Args) -> Expression:
    args = [read_as(each, Kind.TEXT, node.name.upper()) for each in args]
    fold = node.name == "ilike"
    if any(each.is_value and each.detail is None for each in args):
        return value(Kind.BOOL, None, node.position)
    if all(each.is_value for each in args[1:]):
        try:
            matcher = texts.like(*_patterns(*[each.detail for each in args[1:]]), fold=fold)
        except Trouble as trouble:
            malformed(args[1].position, str(trouble))
        made = strict(node.name, Kind.BOOL, matcher, args[:1], node.position)
        return (
            made if made.is_value else Expression(made.kind, made.op, tuple(args), None, made.evaluate, node.position)
        )

    def match(text: str, *pattern: str) -> bool:
        return texts.like(*_patterns(*pattern), fold=fold)(text)

    return strict(node.name, Kind.BOOL, match, args, node.position)


def _patterns(pattern: str, escape: str | None = None) -> tuple[str, str | None]:
    return pattern, escape


# Choices.


def _case(node: Call, args: Args) -> Expression:
    operand, args = (args[0], args[1:]) if node.name == "case of" else (None, args)
    if operand is not None and operand.op != "parameter":
        operand = settled(operand)
    tests = [
        boolean(each, "WHEN") if operand is None else compared("=", operand, each, each.position)
        for each in args[:-1:2]
    ]
    values = common([*args[1::2], args[-1]], "CASE")
    arms = [(test, made) for test, made in zip(tests, values, strict=False) if not (test.is_value and not test.detail)]
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


def _coalesce(node: Call, args: Args) -> Expression:
    args = common(_some(node, args), "COALESCE")
    choices = [each.evaluate for each in args]

    def evaluate(row: Any) -> Any:
        for each in choices:
            said = each(row)
            if said is not None:
                return said
        return None

    return folded(Expression(args[0].kind, "coalesce", tuple(args), None, evaluate, node.position))


def _nullif(node: Call, args: Args) -> Expression:
    _count(node, 2)
    said, other = args
    left, right = matched("=", said, other)
    if said.kind is Kind.INT4 and left.kind is Kind.INT8:
        left = said
    elif said.kind is Kind.UNKNOWN and said.op != "parameter" and other.kind is Kind.INT4:
        left = coerced(said, Kind.INT4)
    if {left.kind, right.kind} & {Kind.NUMERIC} and left.kind in NUMBERS:
        left = coerced(left, Kind.NUMERIC)
    if any(each.is_value and each.detail is None for each in (left, right)):
        return left
    first, second = left.evaluate, right.evaluate

    def evaluate(row: Any) -> Any:
        one, two = first(row), second(row)
        return None if one is not None and two is not None and one == two else one

    return folded(Expression(left.kind, "nullif", (left, right), None, evaluate, node.position))


def _extreme(node: Call, args: Args) -> Expression:
    """GREATEST and LEAST: NULLs do not count."""
    args = common(_some(node, args), node.name.upper())
    if args[0].kind is Kind.JSONB:
        malformed(node.position, "JSON values have no order here", hint=SUPPORTED)
    choices = [each.evaluate for each in args]
    choose: Callable[[Any], Any] = max if node.name == "greatest" else min

    def evaluate(row: Any) -> Any:
        said = [one for each in choices if (one := each(row)) is not None]
        return choose(said) if said else None

    return folded(Expression(args[0].kind, node.name, tuple(args), None, evaluate, node.position))


# Computation.


def _arithmetic(node: Call, args: Args) -> Expression:
    left, right = adopted(node.name, *args)
    if left.kind not in NUMBERS or right.kind not in NUMBERS:
        malformed(node.position, f"there is no operator {left.kind} {node.name} {right.kind}", hint=SUPPORTED)
    kind = max(left.kind, right.kind, key=NUMBERS.index)
    if node.name == "%" and kind is Kind.FLOAT8:
        malformed(node.position, "% takes no double precision", hint="Cast to numeric")
    args = (coerced(left, kind), coerced(right, kind))
    return strict(node.name, kind, numbers.arithmetic(node.name, kind), args, node.position)


def _concatenation(node: Call, args: Args) -> Expression:
    left, right = args
    kinds = {left.kind, right.kind}
    if kinds <= {Kind.BYTEA, Kind.UNKNOWN} and Kind.BYTEA in kinds:
        args = [coerced(each, Kind.BYTEA) for each in (left, right)]
        return strict("||", Kind.BYTEA, lambda one, two: one + two, args, node.position)
    if not kinds & {Kind.TEXT, Kind.UNKNOWN} or (Kind.UNKNOWN in kinds and kinds & {Kind.JSONB, Kind.ARRAY}):
        malformed(node.position, f"there is no operator {left.kind} || {right.kind}", hint="Cast to text")
    args = [cast(each, Kind.TEXT, each.position) for each in (left, right)]
    return strict("||", Kind.TEXT, lambda one, two: texts.join([one, two]), args, node.position)


def _concat(node: Call, args: Args) -> Expression:
    args = [settled(each) for each in _some(node, args)]
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


def _path(node: Call, args: Args) -> Expression:
    """#> and #>>: the path is a constant."""
    document, path = args
    check_known(node.name, document)
    document = read_as(document, Kind.JSONB, node.name)
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


def _negative(node: Call, args: Args) -> Expression:
    (inner,) = args
    if inner.kind is Kind.UNKNOWN and inner.op != "parameter":
        malformed(inner.position, "of which type the value behind - is is unclear", hint="Cast it, as in -'5'::int")
    return function("negative", [settled(inner)], node.position)


def _step(node: Call, args: Args) -> Expression:
    """-> and ->>: a parameter that is an integer is a place in an array."""
    document, step = args
    check_known(node.name, document)
    if step.op == "parameter":
        step = settled(step)
        if step.kind is Kind.INT8:
            step = Expression(Kind.INT4, step.op, step.args, step.detail, step.evaluate, step.position)
    return function(node.name, [document, step], node.position)


def _containment(node: Call, args: Args) -> Expression:
    """@> and <@."""
    check_known(node.name, *args)
    return function(node.name, args, node.position)


def _some(node: Call, args: Args) -> Args:
    if not args:
        malformed(node.position, f"{node.name.upper()} takes at least one value")
    return args


def _count(node: Call, count: int) -> None:
    if len(node.args) != count:
        malformed(node.position, f"{node.name.upper()} takes {count} values, found {len(node.args)}")


CONSTRUCTS: Final[dict[str, Callable[[Call, Args], Expression]]] = {
    **dict.fromkeys(conditions.COMPARISONS, _comparison),
    **dict.fromkeys(("and", "or"), _logic),
    "not": _not,
    **dict.fromkeys(("is null", "is unknown", "is true", "is false"), _test),
    **dict.fromkeys(("is distinct", "is not distinct"), _distinct),
    "between": _between,
    "in": _in,
    **dict.fromkeys(("like", "ilike"), _like),
    **dict.fromkeys(("case", "case of"), _case),
    "coalesce": _coalesce,
    "nullif": _nullif,
    **dict.fromkeys(("greatest", "least"), _extreme),
    **dict.fromkeys("+-*/%", _arithmetic),
    "negative": _negative,
    "||": _concatenation,
    "concat": _concat,
    **dict.fromkeys(("#>", "#>>"), _path),
    **dict.fromkeys(("->", "->>"), _step),
    **dict.fromkeys(("@>", "<@"), _containment),
}
"""What compiles the constructs that are no plain functions."""
