"""Random expressions over a sample, as text: of a type, mostly well-formed, some without their parentheses."""

from typing import Any

from hypothesis import strategies as st

Draw = Any

_COLUMNS = {
    "bool": ["d", "e"],
    "int8": ["a", "b", "id"],
    "float8": ["f", "g"],
    "numeric": ["n", "m"],
    "text": ["t", "u"],
    "bytea": ["y"],
    "timestamptz": ["w"],
    "uuid": ["k"],
    "jsonb": ["j", "i"],
}
_LITERALS = {
    "int8": ["0", "1", "2", "-1", "3", "2147483647", "2147483648", "9223372036854775807", "'5'"],
    "float8": ["1.5::float8", "0::float8", "'2.5e3'::float8", "1e300::double precision", "0.1::float8"],
    "numeric": ["1.5", "0.0", "1.50", "2.", ".25", "1e3", "12345678901234567890", "'0.10'::numeric"],
    "text": ["''", "'a'", "'b'", "'A'", "'ä'", "'aB'", "'%'", "'a b '", "'it''s'", "'1'"],
    "bytea": ["'\\x61'::bytea", "'a\\\\b\\001'::bytea"],
    "timestamptz": ["'2024-02-29T12:00:00Z'::timestamptz", "'2000-01-01 00:00:00.5+02'::timestamptz"],
    "uuid": ["'6f1c1d9e-8d57-4b3a-9c56-0d9a3a6b7c11'::uuid", "'{00000000000000000000000000000000}'::uuid"],
    "jsonb": [
        "'1'::jsonb",
        "'\"a\"'::jsonb",
        "'null'::jsonb",
        "'{\"a\": 1.50}'::jsonb",
        "'[1, \"a\"]'::jsonb",
        "'[]'::jsonb",
    ],
}
_NUMBERS = ["int8", "float8", "numeric"]
_PATTERNS = ["'a%'", "'%b%'", "'_'", "'%_b%'", "''", "'%'", "'a\\%%'", "'%a%b%'", "'ä_'", "'__%'", "'A%'"]


@st.composite
def expressions(draw: Draw, kind: str = "", depth: int = 3) -> str:
    """An expression, of a type or of any."""
    chosen = kind or draw(st.sampled_from(sorted(_COLUMNS)))
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return _leaf(draw, chosen)
    made: str = draw(st.sampled_from(_MAKERS[chosen]))(draw, depth - 1)
    return made


def _leaf(draw: Draw, kind: str) -> str:
    """A column, or where that is enough a literal."""
    if kind in _LITERALS and draw(st.integers(0, 3)) == 0:
        said: str = draw(st.sampled_from(_LITERALS[kind]))
        return said
    column: str = draw(st.sampled_from(_COLUMNS[kind]))
    return column


def _column(draw: Draw, kind: str) -> str:
    """A column: whatever has one is not computed before there is a row."""
    column: str = draw(st.sampled_from(_COLUMNS[kind]))
    return column


def _in(draw: Draw, text: str) -> str:
    """Mostly in parentheses."""
    return text if draw(st.integers(0, 3)) == 0 else f"({text})"


def _some(draw: Draw, kind: str, depth: int) -> str:
    return _in(draw, draw(expressions(kind, depth)))


def _number(draw: Draw) -> str:
    kind: str = draw(st.sampled_from(_NUMBERS))
    return kind


def _any_kind(draw: Draw, *, without: str = "jsonb") -> str:
    kind: str = draw(st.sampled_from([each for each in sorted(_COLUMNS) if each != without]))
    return kind


# Booleans.


def _compare(draw: Draw, depth: int) -> str:
    op = draw(st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="]))
    kind = _any_kind(draw)
    other = _number(draw) if kind in _NUMBERS else kind
    return f"{_some(draw, kind, depth)} {op} {_some(draw, other, depth)}"


def _compare_json(draw: Draw, depth: int) -> str:
    op = draw(st.sampled_from(["=", "<>", "@>", "<@", "IS DISTINCT FROM"]))
    return f"{_some(draw, 'jsonb', depth)} {op} {_some(draw, 'jsonb', depth)}"


def _has_key(draw: Draw, depth: int) -> str:
    return f"{_some(draw, 'jsonb', depth)} ? {_some(draw, 'text', 0)}"


def _logic(draw: Draw, depth: int) -> str:
    op = draw(st.sampled_from(["AND", "OR"]))
    return f"{_some(draw, 'bool', depth)} {op} {_some(draw, 'bool', depth)}"


def _not(draw: Draw, depth: int) -> str:
    return f"NOT {_some(draw, 'bool', depth)}"


def _is(draw: Draw, depth: int) -> str:
    test = draw(st.sampled_from(["IS NULL", "IS NOT NULL"]))
    return f"{_some(draw, _any_kind(draw, without=''), depth)} {test}"


def _is_bool(draw: Draw, depth: int) -> str:
    tests = ["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE", "IS UNKNOWN", "IS NOT UNKNOWN"]
    return f"{_some(draw, 'bool', depth)} {draw(st.sampled_from(tests))}"


def _distinct(draw: Draw, depth: int) -> str:
    kind = _any_kind(draw)
    test = draw(st.sampled_from(["IS DISTINCT FROM", "IS NOT DISTINCT FROM"]))
    return f"{_some(draw, kind, depth)} {test} {_some(draw, kind, depth)}"


def _among(draw: Draw, depth: int) -> str:
    kind = _any_kind(draw)
    kinds = _NUMBERS if kind in _NUMBERS else [kind]
    count = draw(st.integers(1, 3))
    elements = [draw(expressions(draw(st.sampled_from(kinds)), draw(st.integers(0, depth)))) for _ in range(count)]
    if draw(st.integers(0, 4)) == 0:
        elements.append("NULL")
    return f"{_some(draw, kind, depth)} {draw(st.sampled_from(['IN', 'NOT IN']))} ({', '.join(elements)})"


def _between(draw: Draw, depth: int) -> str:
    kind = _any_kind(draw)
    test = draw(st.sampled_from(["BETWEEN", "NOT BETWEEN"]))
    other = _number(draw) if kind in _NUMBERS else kind
    return f"{_some(draw, kind, depth)} {test} {_some(draw, other, depth)} AND {_some(draw, kind, depth)}"


def _like(draw: Draw, depth: int) -> str:
    op = draw(st.sampled_from(["LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"]))
    said = f"{_some(draw, 'text', depth)} {op} {draw(st.sampled_from(_PATTERNS))}"
    return said + draw(st.sampled_from(["", "", " ESCAPE '!'", " ESCAPE ''", " ESCAPE 'a'"]))


def _starts(draw: Draw, depth: int) -> str:
    return f"starts_with({draw(expressions('text', depth))}, {draw(expressions('text', depth))})"


# Numbers.


def _arithmetic(kind: str) -> Any:
    def make(draw: Draw, depth: int) -> str:
        op = draw(st.sampled_from(["+", "-", "*", "/"] if kind == "float8" else ["+", "-", "*", "/", "%"]))
        left, right = _column(draw, kind), _some(draw, kind, depth)
        if kind == "numeric" and draw(st.booleans()):
            right = _some(draw, "int8", depth)
        return f"{left} {op} {right}" if draw(st.booleans()) else f"{right} {op} {left}"

    return make


def _sign(kind: str) -> Any:
    def make(draw: Draw, depth: int) -> str:
        return draw(st.sampled_from(["-{}", "abs({})", "- {}"])).format(_some(draw, kind, depth))

    return make


def _rounding(kind: str) -> Any:
    def make(draw: Draw, depth: int) -> str:
        function = draw(st.sampled_from(["round", "trunc", "ceil", "floor", "ceiling", "sign"]))
        if kind == "numeric" and function in {"round", "trunc"} and draw(st.booleans()):
            return f"{function}({draw(expressions(kind, depth))}, {draw(st.integers(-2, 3))})"
        return f"{function}({draw(expressions(kind, depth))})"

    return make


def _modulo(draw: Draw, depth: int) -> str:
    return f"mod({_column(draw, 'int8')}, {draw(expressions('int8', depth))})"


def _length(draw: Draw, depth: int) -> str:
    function, kind = draw(
        st.sampled_from([("length", "text"), ("length", "bytea"), ("char_length", "text"), ("octet_length", "text"),
                         ("octet_length", "bytea")])
    )  # fmt: skip
    return f"{function}({draw(expressions(kind, depth))})"


def _position(draw: Draw, depth: int) -> str:
    one, two = draw(expressions("text", depth)), draw(expressions("text", depth))
    return draw(st.sampled_from([f"position(({one}) IN ({two}))", f"strpos({one}, {two})"]))


# Texts.


def _texts(draw: Draw, depth: int) -> str:
    function = draw(st.sampled_from(["lower", "upper", "trim", "ltrim", "rtrim", "btrim", "reverse"]))
    return f"{function}({draw(expressions('text', depth))})"


def _trim(draw: Draw, depth: int) -> str:
    side = draw(st.sampled_from(["BOTH", "LEADING", "TRAILING"]))
    chars, said = draw(expressions("text", 0)), draw(expressions("text", depth))
    forms = [f"trim({side} {chars} FROM {said})", f"ltrim({said}, {chars})", f"trim({side} FROM {said})"]
    return draw(st.sampled_from(forms))


def _substring(draw: Draw, depth: int) -> str:
    said, start, length = draw(expressions("text", depth)), draw(st.integers(-2, 4)), draw(st.integers(-1, 4))
    forms = [
        f"substring({said} FROM {start} FOR {length})",
        f"substring({said} FROM {start})",
        f"substr({said}, {start}, {length})",
        f"substr({said}, b::int)",
        f"left({said}, {start})",
        f"right({said}, {start})",
        f"right({said}, b::int4)",
    ]
    return draw(st.sampled_from(forms))


def _replace(draw: Draw, depth: int) -> str:
    return f"replace({', '.join(draw(expressions('text', each)) for each in (depth, 0, 0))})"


def _concatenation(draw: Draw, depth: int) -> str:
    kind = _any_kind(draw, without="")
    one, two = _some(draw, "text", depth), _some(draw, kind, depth)
    forms = [f"{one} || {two}", f"{two} || {one}", f"concat({one}, {two}, NULL, 'x')"]
    return draw(st.sampled_from(forms))


def _to_text(draw: Draw, depth: int) -> str:
    inner = draw(expressions(_any_kind(draw, without=""), depth))
    return draw(st.sampled_from([f"({inner})::text", f"CAST({inner} AS text)"]))


def _json_text(draw: Draw, depth: int) -> str:
    said = _some(draw, "jsonb", depth)
    return draw(st.sampled_from([f"{said} ->> {_step(draw)}", f"{said} #>> {_path(draw)}"]))


def _step(draw: Draw) -> str:
    step: str = draw(st.sampled_from(["'a'", "'b'", "0", "1", "-1", "'1'", "t"]))
    return step


def _path(draw: Draw) -> str:
    path: str = draw(st.sampled_from(["'{a}'", "'{a,b}'", "'{0}'", "'{a,-1}'", "'{}'", "'{\"a\", 0}'"]))
    return path


# JSON.


def _json_step(draw: Draw, depth: int) -> str:
    said = _some(draw, "jsonb", depth)
    return draw(st.sampled_from([f"{said} -> {_step(draw)}", f"{said} #> {_path(draw)}"]))


# What every type has.


def _choice(kind: str) -> Any:
    def make(draw: Draw, depth: int) -> str:
        one, two = draw(expressions(kind, depth)), draw(expressions(kind, depth))
        if kind in _NUMBERS:
            two = draw(expressions(_number(draw), depth))
        forms = [f"coalesce({_column(draw, kind)}, {two})",
                 f"CASE WHEN {_column(draw, 'bool')} THEN {one} ELSE {two} END",
                 f"CASE WHEN {_some(draw, 'bool', depth)} THEN {one} END", f"nullif({one}, {two})"]  # fmt: skip
        if kind != "jsonb":
            forms += [f"CASE {one} WHEN {two} THEN {one} END", f"greatest({one}, {two})", f"least({one}, {two}, NULL)"]
        return draw(st.sampled_from(forms))

    return make


_CASTS = {
    "bool": ["text", "jsonb"],
    "int8": ["text", "numeric", "float8", "jsonb"],
    "float8": ["int8", "numeric", "text", "jsonb"],
    "numeric": ["int8", "float8", "text", "jsonb"],
    "bytea": ["text"],
    "timestamptz": ["text"],
    "uuid": ["text"],
    "jsonb": ["text"],
}
_NAMES = {
    "bool": ["boolean"],
    "int8": ["bigint", "int8", "int", "integer"],
    "float8": ["float8", "double precision"],
    "numeric": ["numeric", "decimal"],
    "timestamptz": ["timestamptz", "timestamp with time zone"],
}


def _cast(kind: str) -> Any:
    def make(draw: Draw, depth: int) -> str:
        source = draw(st.sampled_from(_CASTS[kind]))
        inner = _column(draw, source) if kind in {"timestamptz", "bytea"} else draw(expressions(source, depth))
        name = draw(st.sampled_from(_NAMES.get(kind, [kind])))
        return draw(st.sampled_from([f"({inner})::{name}", f"CAST({inner} AS {name})"]))

    return make


_MAKERS: dict[str, list[Any]] = {
    "bool": [_compare, _compare, _compare_json, _has_key, _logic, _logic, _not, _is, _is_bool, _distinct, _among,
             _between, _like, _like, _starts],
    "int8": [_arithmetic("int8"), _arithmetic("int8"), _sign("int8"), _modulo, _length, _position],
    "float8": [_arithmetic("float8"), _arithmetic("float8"), _sign("float8"), _rounding("float8")],
    "numeric": [_arithmetic("numeric"), _arithmetic("numeric"), _sign("numeric"), _rounding("numeric")],
    "text": [_texts, _trim, _substring, _replace, _concatenation, _to_text, _json_text],
    "bytea": [lambda draw, depth: f"{_some(draw, 'bytea', depth)} || {_some(draw, 'bytea', depth)}"],
    "timestamptz": [],
    "uuid": [],
    "jsonb": [_json_step],
}  # fmt: skip
for _kind, _makers in _MAKERS.items():
    _makers.append(_choice(_kind))
    if _kind in _CASTS:
        _makers.append(_cast(_kind))
