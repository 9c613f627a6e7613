"""What a reducer's parameter may be, and what its author said of each.

    @reducer
    def ship(ctx: Context, order: OrderId, lines: list[tuple[str, int]], note: str | None = None) -> None:
        ...

| said | the reducer gets |
| --- | --- |
| a column's type: bool, int, float, str, bytes, datetime, Decimal, UUID, Json | a value in its one form (values.py) |
| a Literal or an Enum of str or of int | the value, or the member |
| `list[T]`, `tuple[T, ...]`, `tuple[T, U]`, `dict[str, T]` | just that; a dict in the order of its keys |
| None beside one, and a union whose members are told apart on every wire | a value of one of them |
| a NewType | what it stands for |
| `Annotated[T, msgspec.Meta(ge=0)]` | what is within the bounds |

Laws: what is declared is what is enforced, and what cannot be enforced is refused where it is declared. Bounds hold
for callers alone: what was logged is read without them, so a bound that is added later does not touch the history.
"""

import functools
import inspect
import operator
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum, Flag
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from store.codec import UNSTORABLE
from store.ids import INT_MAX, INT_MIN
from store.values import SCALARS, UNIONS, Json, constrain, dec_hook, encode, normaliser

_SCALARS: Final = frozenset(SCALARS.values())
_BARE: Final = (list, tuple, dict, typing.List, typing.Tuple, typing.Dict)  # noqa: UP006  # As authors may.
_TAKEN: Final = (
    f"a parameter is one of {', '.join(each.__name__ for each in SCALARS.values())}, a Literal or Enum of str or int,"
    " a list[…], tuple[…] or dict[str, …] of these, or one of several that are told apart"
)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a reducer."""

    name: str
    annotation: Any
    """Its type without bounds, and with what each NewType stands for."""
    checked: Any
    """Its type as msgspec shall check what a caller says."""
    default: bytes | None
    """The default as MessagePack, or None where a caller must say the value."""

    @property
    def type_name(self) -> str:
        """The annotation as text, for errors and schemas."""
        return type_name(self.annotation)


def type_name(annotation: Any) -> str:
    """An annotation as text: int, str | None, tuple[int, ...]."""
    return annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)


def read_parameters(reducer: str, function: Callable[..., Any]) -> list[Parameter]:
    """The parameters behind the context. TypeError names the one that is refused, what is taken, and what it is."""
    hints = typing.get_type_hints(function, include_extras=True)
    _, *rest = inspect.signature(function).parameters.values()
    return [_read(each, hints, f"reducer {reducer}, parameter {each.name}") for each in rest]


def _read(said: inspect.Parameter, hints: Mapping[str, Any], where: str) -> Parameter:
    if said.kind not in {said.POSITIONAL_OR_KEYWORD, said.POSITIONAL_ONLY}:
        raise TypeError(f"{where}: parameters are plain ones, without * or **")
    if said.name not in hints:
        raise TypeError(f"{where}: it needs a type annotation")
    hint = hints[said.name]
    try:
        annotation, checked = plain(hint), constrain(hint)
        msgspec.msgpack.Decoder(checked, dec_hook=dec_hook)
    except UNSTORABLE as error:
        raise TypeError(f"{where}: {error}; found {type_name(hint)}") from None
    if said.default is said.empty:
        return Parameter(said.name, annotation, checked, None)
    try:
        default = encode(said.default)
        value = msgspec.msgpack.decode(default, type=checked, dec_hook=dec_hook)
        if normal := normaliser(annotation):
            normal(value)
    except UNSTORABLE as error:
        raise TypeError(f"{where}: the default {said.default!r} is no {type_name(annotation)}: {error}") from None
    return Parameter(said.name, annotation, checked, default)


def plain(hint: Any) -> Any:
    """A type without bounds, and with what each NewType stands for. TypeError where no parameter may be that."""
    if hint is type(None) or (isinstance(hint, type) and hint in _SCALARS):
        return hint
    if isinstance(hint, typing.NewType):
        return plain(hint.__supertype__)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _plain_choice(hint, {type(each.value) for each in hint} if not issubclass(hint, Flag) else set())
    if hint is Any:
        raise TypeError("say which type it has; anything at all is a Json")
    if hint in _BARE:
        raise TypeError(f"{_TAKEN}; say of what it is")
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return _plain_choice(hint, {type(each) for each in inner} - {type(None)})
    return _plain_holding(origin, inner, hint)


def _plain_holding(origin: Any, inner: tuple[Any, ...], hint: Any) -> Any:
    """A type that others stand in."""
    if origin is Annotated:
        return _plain_bounded(inner[0], hint.__metadata__)
    if origin in UNIONS:
        return _plain_union([plain(each) for each in inner])
    if origin is tuple:
        rest = [...] if inner[1:] == (...,) else [plain(each) for each in inner[1:]]
        return tuple[(*map(plain, inner[:1]), *rest)]  # type: ignore[misc]  # Made at run time.
    if origin is list:
        return list[plain(inner[0])]  # type: ignore[misc]  # Made at run time.
    if origin is dict:
        if typing.get_origin(inner[0]) is Annotated or plain(inner[0]) is not str:
            raise TypeError(f"a dict's keys are str, in JSON there are no others, found {type_name(inner[0])}")
        return dict[str, plain(inner[1])]  # type: ignore[misc]  # Made at run time.
    raise TypeError(_TAKEN)


def _plain_choice(hint: Any, kinds: set[type]) -> Any:
    """A Literal or an Enum; of which its values' types are."""
    if not kinds or not kinds <= {str, int} or any(not INT_MIN <= each <= INT_MAX for each in _integers(hint)):
        raise TypeError(f"a Literal or an Enum is of str or of int with 64 bits, not a Flag; {type_name(hint)} is not")
    return hint


def _integers(annotation: Any) -> list[int]:
    """The integers of a Literal or an Enum; none of anything else."""
    return [each for each in choices(annotation) if isinstance(each, int)]


def choices(annotation: Any) -> list[Any]:
    """The values that a Literal or an Enum may have; none of anything else."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [each.value for each in annotation]
    return list(typing.get_args(annotation)) if typing.get_origin(annotation) is Literal else []


def _plain_bounded(inner: Any, metadata: tuple[Any, ...]) -> Any:
    for each in metadata:
        if not isinstance(each, msgspec.Meta | str):
            raise TypeError(f"Annotated says a msgspec.Meta, which is enforced, or a text; {each!r} is neither")
    return plain(inner)


def _plain_union(members: list[Any]) -> Any:
    """A union; of its members one alone may look as it does, in MessagePack and in JSON."""
    made = functools.reduce(operator.or_, members)
    if typing.get_origin(made) not in UNIONS:
        return made
    members = [each for each in typing.get_args(made) if each is not type(None)]
    if Json in members and len(members) > 1:
        raise TypeError("a Json stands in a union with None alone, for it is a text on the wire and may be anything")
    looks = [look for each in members for look in _looks(each)]
    for look in dict.fromkeys(looks):
        if looks.count(look) > 1:
            raise TypeError(f"two of a union are {look} on the wire, and nobody could tell them apart")
    if "an integer" in looks and (Decimal in members or bytes in members):
        raise TypeError("beside an integer stands no Decimal and no bytes: in JSON a text of digits would be both")
    return made


def _looks(annotation: Any) -> list[str]:
    """How values of a type look on the wire, as far as another type could look like it."""
    if annotation in {str, bytes, datetime, Decimal, UUID}:
        return ["a text"]
    if annotation is int:
        return ["an integer"]
    if found := choices(annotation):
        return list(dict.fromkeys("a text" if isinstance(each, str) else "an integer" for each in found))
    return {list: ["an array"], tuple: ["an array"], dict: ["a map"]}.get(typing.get_origin(annotation), [])


def varies(annotation: Any) -> bool:
    """Whether equal values differ in what their bytes do not keep: a datetime's zone, the order of a dict."""
    if annotation is datetime or typing.get_origin(annotation) is dict:
        return True
    return typing.get_origin(annotation) is not Literal and any(map(varies, typing.get_args(annotation)))


def loose(annotation: Any) -> Any:
    """The type as it takes all arguments that a log may hold: without bounds, a tuple of any length."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in UNIONS:
        return functools.reduce(operator.or_, map(loose, inner))
    if origin is tuple and inner:
        return tuple[loose(inner[0]), ...]  # type: ignore[misc]  # Made at run time.
    if origin is list:
        return list[loose(inner[0])]  # type: ignore[misc]  # Made at run time.
    if origin is dict:
        return dict[str, loose(inner[1])]  # type: ignore[misc]  # Made at run time.
    return annotation
