"""What terms are computed with: + - * / %, and what Python has for rounding and the sign.

Laws: an operator is PostgreSQL's: integers are divided to an integer, a remainder has the sign of what is divided; of
two numbers the later of int, Decimal, float decides, and an int is rounded to a float. To type checkers a Decimal and a
float do not meet, and no float is rounded to digits: one is cast. `+` puts two texts, or bytes, together, which the
language says by ||.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

from store.expression.nodes import NUMBER, Node, chain, integer, sum_of, within
from store.expression.rendering import Level, Parameter, Piece, Pieces

if TYPE_CHECKING:
    from store.expression.terms import Term

Value = TypeVar("Value")
Integral: TypeAlias = "int | Arithmetic[int]"
Floating: TypeAlias = "float | Arithmetic[float] | Arithmetic[int]"
Exact: TypeAlias = "Decimal | int | Arithmetic[Decimal] | Arithmetic[int]"


class Arithmetic(Node, Generic[Value]):
    """A term, as far as it is computed with."""

    __slots__ = ()

    def term(self, pieces: Pieces, kind: str, level: Level) -> Any:
        """Another term."""
        raise NotImplementedError

    @overload
    def __add__(self: "Arithmetic[int]", other: "Integral") -> "Term[int]": ...
    @overload
    def __add__(self: "Arithmetic[int]", other: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    @overload
    def __add__(self: "Arithmetic[int]", other: "Arithmetic[float]") -> "Term[float]": ...
    @overload
    def __add__(self: "Arithmetic[float]", other: "Floating") -> "Term[float]": ...
    @overload
    def __add__(self: "Arithmetic[Decimal]", other: "Exact") -> "Term[Decimal]": ...
    @overload
    def __add__(self: "Arithmetic[str]", other: "str | Arithmetic[str]") -> "Term[str]": ...
    @overload
    def __add__(self: "Arithmetic[bytes]", other: "bytes | Arithmetic[bytes]") -> "Term[bytes]": ...
    def __add__(self, other: Any) -> "Term[Any]":
        made: Term[Any] = self.term(*sum_of(self, self, other))
        return made

    @overload
    def __radd__(self: "Arithmetic[int]", other: "int") -> "Term[int]": ...
    @overload
    def __radd__(self: "Arithmetic[float]", other: "float") -> "Term[float]": ...
    @overload
    def __radd__(self: "Arithmetic[Decimal]", other: "Decimal | int") -> "Term[Decimal]": ...
    @overload
    def __radd__(self: "Arithmetic[str]", other: "str") -> "Term[str]": ...
    @overload
    def __radd__(self: "Arithmetic[bytes]", other: "bytes") -> "Term[bytes]": ...
    def __radd__(self, other: Any) -> "Term[Any]":
        made: Term[Any] = self.term(*sum_of(self, other, self))
        return made

    @overload
    def __sub__(self: "Arithmetic[int]", other: "Integral") -> "Term[int]": ...
    @overload
    def __sub__(self: "Arithmetic[int]", other: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    @overload
    def __sub__(self: "Arithmetic[int]", other: "Arithmetic[float]") -> "Term[float]": ...
    @overload
    def __sub__(self: "Arithmetic[float]", other: "Floating") -> "Term[float]": ...
    @overload
    def __sub__(self: "Arithmetic[Decimal]", other: "Exact") -> "Term[Decimal]": ...
    def __sub__(self, other: Any) -> "Term[Any]":
        return self._chain(self, " - ", other, Level.ADD)

    @overload
    def __rsub__(self: "Arithmetic[int]", other: "int") -> "Term[int]": ...
    @overload
    def __rsub__(self: "Arithmetic[float]", other: "float") -> "Term[float]": ...
    @overload
    def __rsub__(self: "Arithmetic[Decimal]", other: "Decimal | int") -> "Term[Decimal]": ...
    def __rsub__(self, other: Any) -> "Term[Any]":
        return self._chain(other, " - ", self, Level.ADD)

    @overload
    def __mul__(self: "Arithmetic[int]", other: "Integral") -> "Term[int]": ...
    @overload
    def __mul__(self: "Arithmetic[int]", other: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    @overload
    def __mul__(self: "Arithmetic[int]", other: "Arithmetic[float]") -> "Term[float]": ...
    @overload
    def __mul__(self: "Arithmetic[float]", other: "Floating") -> "Term[float]": ...
    @overload
    def __mul__(self: "Arithmetic[Decimal]", other: "Exact") -> "Term[Decimal]": ...
    def __mul__(self, other: Any) -> "Term[Any]":
        return self._chain(self, " * ", other, Level.MULTIPLY)

    @overload
    def __rmul__(self: "Arithmetic[int]", other: "int") -> "Term[int]": ...
    @overload
    def __rmul__(self: "Arithmetic[float]", other: "float") -> "Term[float]": ...
    @overload
    def __rmul__(self: "Arithmetic[Decimal]", other: "Decimal | int") -> "Term[Decimal]": ...
    def __rmul__(self, other: Any) -> "Term[Any]":
        return self._chain(other, " * ", self, Level.MULTIPLY)

    @overload
    def __truediv__(self: "Arithmetic[int]", other: "Integral") -> "Term[int]": ...
    @overload
    def __truediv__(self: "Arithmetic[int]", other: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    @overload
    def __truediv__(self: "Arithmetic[int]", other: "Arithmetic[float]") -> "Term[float]": ...
    @overload
    def __truediv__(self: "Arithmetic[float]", other: "Floating") -> "Term[float]": ...
    @overload
    def __truediv__(self: "Arithmetic[Decimal]", other: "Exact") -> "Term[Decimal]": ...
    def __truediv__(self, other: Any) -> "Term[Any]":
        return self._chain(self, " / ", other, Level.MULTIPLY)

    @overload
    def __rtruediv__(self: "Arithmetic[int]", other: "int") -> "Term[int]": ...
    @overload
    def __rtruediv__(self: "Arithmetic[float]", other: "float") -> "Term[float]": ...
    @overload
    def __rtruediv__(self: "Arithmetic[Decimal]", other: "Decimal | int") -> "Term[Decimal]": ...
    def __rtruediv__(self, other: Any) -> "Term[Any]":
        return self._chain(other, " / ", self, Level.MULTIPLY)

    @overload
    def __mod__(self: "Arithmetic[int]", other: "Integral") -> "Term[int]": ...
    @overload
    def __mod__(self: "Arithmetic[int]", other: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    @overload
    def __mod__(self: "Arithmetic[Decimal]", other: "Exact") -> "Term[Decimal]": ...
    def __mod__(self, other: Any) -> "Term[Any]":
        return self._chain(self, " % ", other, Level.MULTIPLY)

    @overload
    def __rmod__(self: "Arithmetic[int]", other: "int") -> "Term[int]": ...
    @overload
    def __rmod__(self: "Arithmetic[Decimal]", other: "Decimal | int") -> "Term[Decimal]": ...
    def __rmod__(self, other: Any) -> "Term[Any]":
        return self._chain(other, " % ", self, Level.MULTIPLY)

    @overload
    def __neg__(self: "Arithmetic[int]") -> "Term[int]": ...
    @overload
    def __neg__(self: "Arithmetic[float]") -> "Term[float]": ...
    @overload
    def __neg__(self: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    def __neg__(self) -> "Term[Any]":
        made: Term[Any] = self.term(["-", *within(self, Level.ALONE)], NUMBER, Level.NEGATIVE)
        return made

    @overload
    def __abs__(self: "Arithmetic[int]") -> "Term[int]": ...
    @overload
    def __abs__(self: "Arithmetic[float]") -> "Term[float]": ...
    @overload
    def __abs__(self: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    def __abs__(self) -> "Term[Any]":
        return self._call("abs")

    @overload
    def __trunc__(self: "Arithmetic[int] | Arithmetic[float]") -> "Term[float]": ...
    @overload
    def __trunc__(self: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    def __trunc__(self) -> "Term[Any]":
        return self._call("trunc")

    @overload
    def __floor__(self: "Arithmetic[int] | Arithmetic[float]") -> "Term[float]": ...
    @overload
    def __floor__(self: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    def __floor__(self) -> "Term[Any]":
        return self._call("floor")

    @overload
    def __ceil__(self: "Arithmetic[int] | Arithmetic[float]") -> "Term[float]": ...
    @overload
    def __ceil__(self: "Arithmetic[Decimal]") -> "Term[Decimal]": ...
    def __ceil__(self) -> "Term[Any]":
        return self._call("ceil")

    @overload
    def __round__(self: "Arithmetic[int] | Arithmetic[float]", digits: None = ...) -> "Term[float]": ...
    @overload
    def __round__(self: "Arithmetic[int]", digits: "int | Term[int]") -> "Term[Decimal]": ...
    @overload
    def __round__(self: "Arithmetic[Decimal]", digits: "int | Term[int] | None" = ...) -> "Term[Decimal]": ...
    def __round__(self, digits: "int | Term[int] | None" = None) -> "Term[Any]":
        return self._call("round", *(() if digits is None else (", ", *integer(self, digits))))

    def _chain(self, left: Any, sign: str, right: Any, level: Level) -> "Term[Any]":
        made: Term[Any] = self.term(chain(self, left, sign, right, level), NUMBER, level)
        return made

    def _call(self, name: str, *more: "str | Parameter | Piece") -> "Term[Any]":
        made: Term[Any] = self.term([f"{name}(", self, *more, ")"], NUMBER, Level.ALONE)
        return made
