"""A text as tokens, and as the shape that the parser sees: names, literals, functions and types are stand-ins in it.

    SELECT lower(owner) FROM account WHERE id = $1   becomes   SELECT f1 ( n3 ) FROM n6 WHERE n8 = :l10

Laws: what is not on a list here is refused here, with its place. The parser reads keywords, signs and numbered
stand-ins only, so no text is a dialect's affair, and every stand-in says which token it stands for. Operators that bind
as || does are || there: which each was is found by the token behind it.
"""

import re
from bisect import bisect_right
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple, NoReturn

from store.query.problems import SUPPORTED, malformed
from store.query.syntax.words import (
    FUNCTIONS,
    KEYWORDS,
    LABELS_WITH_AS,
    OPERATORS,
    OTHER_OPERATORS,
    RESERVED,
    SPECIAL_FUNCTIONS,
    TYPES,
)
from store.values import DECIMAL_DIGITS_MAX

QUERY_LENGTH_MAX: Final = 4_096
"""Characters a query's text may have."""
QUERY_DEPTH_MAX: Final = 32
"""Parentheses and CASEs that may be open at once."""
PARAMETERS_MAX: Final = 64
"""Parameters a query may have."""
INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")
"""An integer as decimal text, short enough for any of 64 bits."""

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n\f\v]+)
    | (?P<comment>--|/\*)
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<numbered>\$[1-9][0-9]{0,2}(?![\w$]))
    | (?P<question>\?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?![\w$]))
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?!\w))
    | (?P<operator>::|[-+*/<>=~!@\#%^&|]+)
    | (?P<sign>[,.;()])""",
    re.VERBOSE,
)
LITERALS: Final = ("string", "number", "constant", "parameter")
"""The kinds of tokens that are values."""
_OPENS_PLUS: Final = set("~!@#%^&|")
"""Signs that let PostgreSQL read a + or - behind them as part of the operator."""
_TYPE: Final = re.compile(
    r"\s*(" + "|".join(re.sub(" ", r"\\s+", each) for each in sorted(TYPES, key=len, reverse=True)) + r")(?![\w$])",
    re.IGNORECASE,
)


class Token(NamedTuple):
    """One token: what it is, what it says, and where it stands, in characters from 0."""

    kind: str
    """name, string, number, constant, parameter, function, type, keyword or sign."""
    value: Any
    """A name as it is looked up, a literal's value, a parameter's place from 0, a function's, type's or word's name."""
    position: int


class Lexed(NamedTuple):
    """A text's tokens and its shape."""

    tokens: tuple[Token, ...]
    shape: str
    places: tuple[int, ...]
    """Where each token begins in the shape."""
    parameters: int
    explain: bool
    length: int

    def position(self, place: int) -> int:
        """The text's place of a place in the shape."""
        if not self.tokens or place >= len(self.shape):
            return self.length
        return self.tokens[max(bisect_right(self.places, place) - 1, 0)].position


def lex(sql: str) -> Lexed:
    """Take a text apart into tokens. MalformedQuery names the first place that is not understood."""
    lexer = _Lexer(sql)
    lexer.run()
    tokens = _counted(lexer.tokens)
    if lexer.last_is_comma:
        malformed(tokens[-1].position, "nothing stands behind the comma")
    explain = bool(tokens) and tokens[0].value == "explain" and tokens[0].kind == "keyword"
    tokens = tokens[1:] if explain else tokens
    while tokens and tokens[-1].value == ";" and tokens[-1].kind == "sign":
        tokens.pop()
    pieces = [_stand_in(index, token) for index, token in enumerate(tokens)]
    places, here = [], 0
    for piece in pieces:
        places.append(here)
        here += len(piece) + 1
    parameters = _count_parameters(lexer)
    return Lexed(tuple(tokens), " ".join(pieces), tuple(places), parameters, explain, len(sql))


_CONSTANTS: Final = {"null": None, "true": True, "false": False}


def _counted(tokens: list[Token]) -> list[Token]:
    """The tokens with COUNT(*) as a function without arguments: so it has a stand-in, too."""
    made: list[Token] = []
    for each in tokens:
        if [one.value for one in [*made[-2:], each]] == ["count", "(", "*"] and made[-2].kind == "keyword":
            made[-2] = made[-2]._replace(kind="function")
        else:
            made.append(each)
    return made


_STAND_INS: Final = {"name": "n", "function": "f", "type": "t", **dict.fromkeys(LITERALS, ":l")}


def _stand_in(index: int, token: Token) -> str:
    prefix = _STAND_INS.get(token.kind)
    if prefix is not None:
        return f"{prefix}{index}"
    if token.value == "unknown":  # The parser would take it for NULL.
        return f":l{index}"
    return "||" if token.value in OTHER_OPERATORS else str(token.value).upper()


class _Lexer:
    """One pass over a text."""

    def __init__(self, sql: str) -> None:
        self.sql: Final = sql
        self.tokens: list[Token] = []
        self.uses: list[tuple[int, str, int]] = []
        """Of each use of a parameter: its place in the text, how it is written, which value it takes."""
        self._open: list[str] = []
        """What opened each parenthesis and CASE that is open."""
        self._operand = False
        """Whether the last token ends a value, so that an operator or a word must follow."""

    def run(self) -> None:
        sql, position = self.sql, 0
        while position < len(sql):
            match = _TOKEN.match(sql, position)
            if match is None:
                self._unknown(position)
            if match.lastgroup == "space":
                position = match.end()
                continue
            if match.lastgroup == "comment":
                malformed(position, "comments are not read", hint="Leave them out of the text")
            position = getattr(self, f"_{match.lastgroup}")(match.group(), position)

    def _unknown(self, position: int) -> NoReturn:
        malformed(position, f"found {self.sql[position : position + 20]!r}, which starts nothing known", hint=SUPPORTED)

    def _add(self, kind: str, value: Any, position: int, *, operand: bool) -> None:
        if self._last(",") and (
            value in {",", ")", ";"} if kind == "sign" else kind == "keyword" and value in _CLAUSES
        ):
            malformed(self.tokens[-1].position, "nothing stands behind the comma")
        self.tokens.append(Token(kind, value, position))
        self._operand = operand

    @property
    def last_is_comma(self) -> bool:
        """Whether the text ends in a comma."""
        return self._last(",")

    def _last(self, *values: str) -> bool:
        return bool(self.tokens) and self.tokens[-1].kind in {"keyword", "sign"} and self.tokens[-1].value in values

    # Values.

    def _literal(self, kind: str, value: Any, position: int) -> None:
        if self._operand:
            malformed(
                position,
                "a value stands right behind a name or a value",
                hint="An operator or a comma is missing; a literal of a type is written 'text'::type",
            )
        self._add(kind, value, position, operand=True)

    def _string(self, text: str, position: int) -> int:
        value = text[1:-1].replace("''", "'")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                malformed(position, "the literal holds a lone surrogate, which no text has")
        self._literal("string", value, position)
        return position + len(text)

    def _number(self, text: str, position: int) -> int:
        try:
            value = int(text) if INTEGER.fullmatch(text) else Decimal(text)
            beyond = isinstance(value, Decimal) and not abs(value.adjusted()) <= DECIMAL_DIGITS_MAX
        except InvalidOperation:
            beyond = True
        if beyond:
            malformed(position, f"the number {text:.40} is beyond every type")
        self._literal("number", value, position)
        return position + len(text)

    def _numbered(self, text: str, position: int) -> int:
        self.uses.append((position, "$", int(text[1:]) - 1))
        self._literal("parameter", self.uses[-1][2], position)
        return position + len(text)

    def _question(self, text: str, position: int) -> int:
        if self._operand:  # JSON's operator: whether a key is there.
            self._add("sign", "?", position, operand=False)
        else:
            self.uses.append((position, "?", sum(written == "?" for _, written, _ in self.uses)))
            self._literal("parameter", self.uses[-1][2], position)
        return position + len(text)

    # Words.

    def _quoted(self, text: str, position: int) -> int:
        self._add("name", text[1:-1].replace('""', '"'), position, operand=True)
        return position + len(text)

    def _word(self, text: str, position: int) -> int:
        word, end = text.lower(), position + len(text)
        if self._last("."):
            self._add("name", word, position, operand=True)
        elif self._last("as"):
            if self._open and self._open[-1] == "cast":
                return self._type(position)
            self._add("name", word, position, operand=True)
        elif word in FUNCTIONS and self._followed(end, "("):  # LEFT, too, which is a keyword elsewhere.
            self._add("function", word, position, operand=False)
        elif self._is_keyword(word, end):
            self._keyword(word, position)
        elif self._followed(end, "("):
            self._special(word, position)
        elif self._operand and word in LABELS_WITH_AS:
            malformed(
                position, f"{word.upper()} stands right behind a value", hint=f"As its name it is written AS {word}"
            )
        else:
            self._add("name", word, position, operand=True)
        return end

    def _is_keyword(self, word: str, end: int) -> bool:  # noqa: PLR0911  # A line a word reads best.
        """Whether a word is the grammar's here; words that are not reserved are names everywhere else."""
        if word == "explain":
            return not self.tokens
        if word == "cast":
            return False
        if word == "unknown":
            return self._last("is") or (self._last("not") and self._is_before_not())
        if word in {"first", "last"}:
            return self._last("nulls")
        if word == "nulls":
            return self._followed(end, "first", "last")
        if word == "by":
            return self._last("group", "order")
        if word == "escape":
            return self._operand and self._followed(end, "'", "$", "?")
        return word in KEYWORDS or word in RESERVED

    def _is_before_not(self) -> bool:
        return len(self.tokens) > 1 and self.tokens[-2][:2] == ("keyword", "is")

    def _keyword(self, word: str, position: int) -> None:
        inside = self._open[-1] if self._open else ""
        allowed = (
            word in KEYWORDS
            or (word in {"both", "leading", "trailing"} and inside == "trim")
            or (word == "for" and inside == "substring")
        )
        if not allowed:
            malformed(
                position,
                f"{word.upper()} is not supported",
                hint=f'Where it is meant as a name it is written "{word}". {SUPPORTED}',
            )
        if word in _CONSTANTS and not (self._last("is") or (self._last("not") and self._is_before_not())):
            self._literal("constant", _CONSTANTS[word], position)
            return
        if word == "case":
            self._push("case", position)
        elif word == "end" and inside == "case":
            self._open.pop()
        self._add("keyword", word, position, operand=word in _CONSTANTS or word in {"unknown", "end"})

    def _special(self, word: str, position: int) -> None:
        if word in SPECIAL_FUNCTIONS:
            self._add("keyword", word, position, operand=False)
        else:
            malformed(position, f"there is no function {word}", hint=f"There are {', '.join(sorted(_CALLABLE))}")

    def _type(self, position: int) -> int:
        """A type's name, of one word or more, from here."""
        match = _TYPE.match(self.sql, position)
        if match is None or self._followed(match.end(), "("):
            word = re.match(r"\s*([^\s(),]*)", self.sql[position:])
            malformed(
                position,
                f"there is no type {word[1] if word else ''!r:.40} to cast to",
                hint=f"There are {', '.join(sorted(TYPES))}, all without a length",
            )
        self._add("type", TYPES[" ".join(match[1].lower().split())], match.start(1), operand=True)
        return match.end()

    def _followed(self, end: int, *starts: str) -> bool:
        return self.sql[end:].lstrip().lower().startswith(starts) if end < len(self.sql) else False

    # Signs.

    def _operator(self, text: str, position: int) -> int:
        """One operator, as long as PostgreSQL would read it: a + or - at its end may begin the next value."""
        if text.startswith("::"):
            self._add("sign", "::", position, operand=False)
            return self._type(position + 2)
        while text[-1] in "+-" and len(text) > 1 and text not in OPERATORS and not _OPENS_PLUS & set(text):
            text = text[:-1]
        if text not in OPERATORS:
            malformed(position, f"there is no operator {text[:20]}", hint=SUPPORTED)
        if text == "+" and not self._operand:
            malformed(position, "a value has no sign + before it", hint="Leave it out")
        self._add("sign", "<>" if text == "!=" else text, position, operand=False)
        return position + len(text)

    def _sign(self, text: str, position: int) -> int:
        if text == "(":
            last = self.tokens[-1] if self.tokens else None
            self._push(str(last.value) if last and last.kind == "keyword" else "", position)
        elif text == ")":
            if not self._open:
                malformed(position, "a parenthesis closes that was not opened")
            self._open.pop()
        elif text == ";" and self.sql[position:].strip("; \t\r\n\f\v"):
            malformed(position, "a query is one statement, found more behind it")
        self._add("sign", text, position, operand=text == ")")
        return position + 1

    def _push(self, opener: str, position: int) -> None:
        if len(self._open) >= QUERY_DEPTH_MAX:
            malformed(position, f"parentheses are nested deeper than {QUERY_DEPTH_MAX}")
        self._open.append(opener)


_CLAUSES: Final = frozenset(
    {
        "from",
        "where",
        "group",
        "having",
        "order",
        "limit",
        "offset",
        "and",
        "or",
        "as",
        "on",
        "join",
        "left",
        "inner",
        "end",
    }
)
"""Words that begin no value."""
_CALLABLE: Final = FUNCTIONS | SPECIAL_FUNCTIONS


def _count_parameters(lexer: _Lexer) -> int:
    """How many values a text wants. One way of writing them, and no gaps."""
    uses = lexer.uses
    numbers = {number for _, _, number in uses}
    if len({written for _, written, _ in uses}) > 1:
        malformed(uses[0][0], "parameters are either $1, $2 … or ?, found both")
    if len(numbers) > PARAMETERS_MAX or numbers != set(range(len(numbers))):
        malformed(uses[0][0], f"parameters are numbered from $1 to at most ${PARAMETERS_MAX} without gaps")
    return len(numbers)
