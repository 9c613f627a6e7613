"""Which tokens may follow which: the grammar of a SELECT, without how tightly its operators bind.

Laws: a text that is not of this shape is refused before the parser sees it, at its first token that may not stand
there. The parser alone is too lenient: it passes over a comma before a value, a parenthesis that stays open, a NOT
with nothing to deny.
"""

from typing import Final, NoReturn

from store.query.problems import SUPPORTED, malformed
from store.query.syntax.lexing import LITERALS, Lexed, Token
from store.query.syntax.words import OPERATORS

_WORDS: Final = {"keyword", "sign"}
_BINARY: Final = (*OPERATORS, "?", "and", "or", "like", "ilike", "escape")
"""What stands between two values; IN and BETWEEN are read by themselves."""
_DENIABLE: Final = ("in", "like", "ilike", "between")
_AGGREGATES: Final = ("count", "sum", "min", "max", "avg")


def check(lexed: Lexed) -> None:
    """Read a text's tokens once. MalformedQuery says what was expected, what was found, and where."""
    _Reading(lexed).statement()


class _Reading:
    """One pass over the tokens. Parentheses are bounded by the lexer, so it never goes deep."""

    def __init__(self, lexed: Lexed) -> None:
        self._tokens: Final = lexed.tokens
        self._length: Final = lexed.length
        self._place = 0

    # Tokens.

    @property
    def _token(self) -> Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _is(self, *words: str) -> bool:
        """Whether one of these words or signs is next."""
        token = self._token
        return token is not None and token.kind in _WORDS and token.value in words

    def _is_kind(self, *kinds: str) -> bool:
        token = self._token
        return token is not None and token.kind in kinds

    def _take(self, *words: str) -> bool:
        """Go behind one of these words or signs, where it is next."""
        found = self._is(*words)
        self._place += found
        return found

    def _take_kind(self, *kinds: str) -> bool:
        found = self._is_kind(*kinds)
        self._place += found
        return found

    def _want(self, word: str) -> None:
        if not self._take(word):
            self._refuse(word.upper())

    def _want_name(self, what: str) -> None:
        if not self._take_kind("name"):
            self._refuse(what)

    def _refuse(self, expected: str) -> NoReturn:
        token = self._token
        if token is None:
            malformed(self._length, f"expected {expected}, found the end of the text", hint=SUPPORTED)
        found = str(token.value).upper() if token.kind in _WORDS else f"the {token.kind} {token.value!s:.40}"
        malformed(token.position, f"expected {expected}, found {found}", hint=SUPPORTED)

    # The SELECT.

    def statement(self) -> None:
        """One SELECT, and nothing behind it."""
        self._select()
        if self._token is not None:
            self._refuse("an operator, a comma or a clause in its order")

    def _select(self) -> None:
        self._want("select")
        self._take("distinct")
        self._output()
        while self._take(","):
            self._output()
        self._want("from")
        self._sources()
        if self._take("where"):
            self._value()
        if self._take("group"):
            self._want("by")
            self._values()
        if self._take("having"):
            self._value()
        if self._take("order"):
            self._want("by")
            self._sort_keys()
        for bound in ("limit", "offset") if self._is("limit") else ("offset", "limit"):
            if self._take(bound):
                self._value()

    def _sources(self) -> None:
        self._source()
        while self._is("join", "inner", "left"):
            if self._take("left"):
                self._take("outer")
            else:
                self._take("inner")
            self._want("join")
            self._source()
            self._want("on")
            self._value()

    def _output(self) -> None:
        if self._take("*") or self._is_star():
            return
        self._value()
        self._alias()

    def _is_star(self) -> bool:
        """Whether all columns of one table are next; goes behind them."""
        one, two, three = (*self._tokens[self._place : self._place + 3], None, None, None)[:3]
        found = one is not None and one.kind == "name" and two is not None and two[:2] == ("sign", ".")
        found = found and three is not None and three[:2] == ("sign", "*")
        self._place += 3 * found
        return found

    def _alias(self) -> None:
        if self._take("as"):
            self._want_name("a name")
        else:
            self._take_kind("name")

    def _source(self) -> None:
        self._want_name("a table's name")
        self._alias()

    def _sort_keys(self) -> None:
        self._sort_key()
        while self._take(","):
            self._sort_key()

    def _sort_key(self) -> None:
        self._value()
        self._take("asc", "desc")
        if self._take("nulls") and not self._take("first", "last"):
            self._refuse("FIRST or LAST")

    # Values.

    def _values(self) -> None:
        self._value()
        while self._take(","):
            self._value()

    def _value(self, *, before: str = "") -> None:
        """Operands and what stands between them; `before`: up to a word that is no operator there."""
        self._operand()
        while not self._is(before) and self._operator():
            self._operand()

    def _operand(self) -> None:
        while self._take("not", "-"):
            pass
        self._primary()
        while self._take("::"):
            self._type()

    def _operator(self) -> bool:
        """Go behind an operator, whole tests included; whether another operand must follow."""
        while True:
            if self._take("is"):
                self._take("not")
                if self._take("distinct"):
                    self._want("from")
                    return True
                if not self._take("null", "true", "false", "unknown"):
                    self._refuse("NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM")
                continue
            if self._take("not") and not self._is(*_DENIABLE):
                self._refuse("IN, LIKE, ILIKE or BETWEEN")
            if self._take("between"):
                self._value(before="and")
                self._want("and")
                return True
            if not self._take("in"):
                return self._take(*_BINARY)
            self._want("(")
            if self._is("select"):
                self._select()
            else:
                self._values()
            self._want(")")

    def _primary(self) -> None:
        if self._take_kind(*LITERALS):
            return
        if self._take_kind("name"):
            if self._take("."):
                self._want_name("a column's name")
        elif self._take_kind("function"):
            self._want("(")
            if not self._is(")"):  # COUNT(*) has nothing in its parentheses any more (lexing).
                self._values()
            self._want(")")
        elif self._take("("):
            self._value()
            self._want(")")
        elif self._take("case"):
            self._case()
        elif self._is("cast", "trim", "substring", "position", *_AGGREGATES):
            self._special()
        else:
            self._refuse("a value")

    def _case(self) -> None:
        if not self._is("when"):
            self._value()
        self._want("when")
        while True:
            self._value()
            self._want("then")
            self._value()
            if not self._take("when"):
                break
        if self._take("else"):
            self._value()
        self._want("end")

    def _special(self) -> None:
        """A function with a grammar of its own."""
        token = self._token
        assert token is not None
        self._place += 1
        self._want("(")
        if token.value == "cast":
            self._value()
            self._want("as")
            self._type()
        elif token.value == "position":
            self._value(before="in")
            self._want("in")
            self._value()
        elif token.value == "trim":
            self._trim()
        elif token.value == "substring":
            self._values()
            if self._take("from"):
                self._value()
            if self._take("for"):
                self._value()
        else:
            self._take("distinct")
            self._value()
        self._want(")")

    def _trim(self) -> None:
        """[BOTH] [characters] FROM text, or values as of any function."""
        self._take("both", "leading", "trailing")
        if not self._is("from"):
            self._values()
        if self._take("from"):
            self._value()

    def _type(self) -> None:
        if not self._take_kind("type"):
            self._refuse("a type")
