"""A reducer's arguments, from whatever door, checked and brought to one form.

Laws: what is logged is the MessagePack array of all parameters in declared order, defaults filled in, whatever came;
so a replay that runs the reducer again reads exactly what this run saw. An error names the parameter.
"""

import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from store.codec import UNSTORABLE
from store.engine.parameters import Parameter, choices, loose, varies
from store.errors import MalformedCall
from store.values import UNIONS, constrain, dec_hook, dec_hook_trusted, encode, normaliser

PARAMETERS_MAX: Final = 64
ARGS_SIZE_MAX: Final = 4 << 20
"""Bytes a call's arguments may have, in their canonical form."""
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")

_read_shape: Final = msgspec.msgpack.Decoder(list[msgspec.Raw] | dict[str, msgspec.Raw]).decode


class Arguments:
    """The parameters of one reducer, behind its context."""

    def __init__(self, reducer: str, parameters: Sequence[Parameter]) -> None:
        if len(parameters) > PARAMETERS_MAX:
            raise TypeError(f"reducer {reducer} has {len(parameters)} parameters, more than {PARAMETERS_MAX}")
        self._reducer: Final = reducer
        self.parameters: Final = tuple(parameters)
        checked: Any = tuple[tuple(each.checked for each in parameters)]  # type: ignore[misc]  # Made at run time.
        self._decode: Final[Callable[[bytes | msgspec.Raw], tuple[Any, ...]]] = msgspec.msgpack.Decoder(
            checked, dec_hook=dec_hook
        ).decode
        logged: Any = tuple[tuple(constrain(each.annotation) for each in parameters)]  # type: ignore[misc]  # Made at run time.
        self._decode_logged: Final[Callable[[bytes], tuple[Any, ...]]] = msgspec.msgpack.Decoder(
            logged, dec_hook=dec_hook_trusted
        ).decode
        normals = [normaliser(each.annotation) for each in parameters]
        self._normals: Final = normals if any(normals) else None
        self._varies: Final = any(varies(each.annotation) for each in parameters)
        self._plain: Final = self._normals is None and not self._varies
        """Whether what was decoded is its own one form."""

    def read(self, raw: bytes | msgspec.Raw) -> tuple[tuple[Any, ...], bytes]:
        """Arguments that came as MessagePack, an array in order or a map by name: (values, canonical bytes).

        MalformedCall names the parameter, what it takes, and what was found.
        """
        decode = self._decode
        try:
            values = decode(raw)
            if self._plain and len(canonical := encode(values)) <= ARGS_SIZE_MAX:
                return values, canonical
        except UNSTORABLE:  # Fill in defaults, or say what is wrong.
            values = self._read_apart(raw)
        return self._finish(values)

    def read_json(self, raw: bytes | msgspec.Raw) -> tuple[tuple[Any, ...], bytes]:
        """Arguments that came as JSON, an array or an object; as `read`."""
        try:
            said = msgspec.json.decode(raw)
        except (ValueError, RecursionError) as error:
            raise MalformedCall(f"{self._reducer}: the arguments are no JSON ({error})") from None
        if not isinstance(said, list | dict):
            raise self._no_arguments(said)
        values = tuple(
            self._default(each) if item is _ABSENT else self._convert(each, item)
            for each, item in zip(self.parameters, self._in_order(said), strict=True)
        )
        return self._finish(values)

    def decode_canonical(self, canonical: bytes) -> tuple[Any, ...]:
        """Arguments as they were logged. Bounds hold for callers alone; ValueError or TypeError: of other types."""
        try:
            return self._decode_logged(canonical)
        except msgspec.ValidationError:
            taken: Any = tuple[tuple(loose(each.annotation) for each in self.parameters)]  # type: ignore[misc]  # Made at run time.
            values: tuple[Any, ...] = msgspec.msgpack.decode(canonical, type=taken, dec_hook=dec_hook_trusted)
            return values

    def _finish(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], bytes]:
        """The one form of arguments that were read, and its bytes."""
        if self._normals is not None:
            values = self._normalise(values)
        try:
            canonical = encode(values)
        except UNSTORABLE as error:
            raise self._unkept(values, error) from None
        if len(canonical) > ARGS_SIZE_MAX:
            raise MalformedCall(
                f"{self._reducer}: {len(canonical)} bytes of arguments, at most {ARGS_SIZE_MAX} are taken",
                details={"reducer": self._reducer},
            )
        return self._decode_logged(canonical) if self._varies else values, canonical

    def _unkept(self, values: tuple[Any, ...], error: Exception) -> MalformedCall:
        """Find the argument at fault by trying each by itself: errors may take their time."""
        for each, value in zip(self.parameters, values, strict=True):
            try:
                encode(value)
            except UNSTORABLE as why:
                return self._wrong(each, why)
        return MalformedCall(
            f"{self._reducer}: the arguments cannot be kept ({error})", details={"reducer": self._reducer}
        )

    def _read_apart(self, raw: bytes | msgspec.Raw) -> tuple[Any, ...]:
        try:
            said = _read_shape(raw)
        except (ValueError, RecursionError):
            raise self._no_arguments(bytes(raw)[:20]) from None
        values = []
        for each, item in zip(self.parameters, self._in_order(said), strict=True):
            if item is _ABSENT:
                values.append(self._default(each))
                continue
            try:
                read = msgspec.msgpack.decode(item, type=each.checked, dec_hook=dec_hook)
            except UNSTORABLE as error:
                raise self._wrong(each, error) from None
            values.append(read)
        return tuple(values)

    def _in_order(self, said: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        """One item for each parameter, _ABSENT where nothing was said."""
        if not isinstance(said, Mapping):
            if len(said) > len(self.parameters):
                raise MalformedCall(
                    f"{self._reducer} takes {len(self.parameters)} arguments ({self.signature()}), found {len(said)}",
                    details={"reducer": self._reducer},
                )
            return [*said, *[_ABSENT] * (len(self.parameters) - len(said))]
        names = [each.name for each in self.parameters]
        unknown = [str(name) for name in said if name not in names]
        if unknown:
            raise MalformedCall(
                f"{self._reducer} has no parameter {', '.join(unknown)[:100]}; it takes {self.signature()}",
                details={"reducer": self._reducer, "field": unknown[0][:100]},
            )
        return [said.get(name, _ABSENT) for name in names]

    def signature(self) -> str:
        """The parameters as their author wrote them: `source: int, target: int`."""
        return ", ".join(f"{each.name}: {each.type_name}" for each in self.parameters)

    def _default(self, each: Parameter) -> Any:
        if each.default is None:
            raise MalformedCall(
                f"{self._reducer}: the argument {each.name} ({each.type_name}) is missing",
                hint=f"It takes {self.signature()}",
                details={"reducer": self._reducer, "field": each.name},
            )
        return msgspec.msgpack.decode(each.default, type=constrain(each.annotation), dec_hook=dec_hook_trusted)

    def _convert(self, each: Parameter, item: Any) -> Any:
        try:
            return msgspec.convert(_lift_integers(each.annotation, item), each.checked, dec_hook=dec_hook)
        except UNSTORABLE as error:
            raise self._wrong(each, error) from None

    def _normalise(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        assert self._normals is not None
        normal = []
        for each, value, bring in zip(self.parameters, values, self._normals, strict=True):
            try:
                normal.append(bring(value) if bring else value)
            except ValueError as error:
                raise self._wrong(each, error) from None
        return tuple(normal)

    def _wrong(self, each: Parameter, error: Exception) -> MalformedCall:
        return MalformedCall(
            f"{self._reducer}: the argument {each.name} is {each.type_name}: {error}",
            details={"reducer": self._reducer, "field": each.name},
        )

    def _no_arguments(self, found: Any) -> MalformedCall:
        return MalformedCall(
            f"{self._reducer}: arguments are an array in order or a map by name, found {found!r:.60}",
            details={"reducer": self._reducer},
        )


class _Absent:
    """Nothing was said here, where None is a value."""


_ABSENT: Final = _Absent()


def _lift_integers(annotation: Any, item: Any) -> Any:
    """JSON's decimal strings as integers, wherever the annotation wants an integer and no text."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(item, str):
        return int(item) if _INTEGER.fullmatch(item) and _wants_integer(annotation, item) else item
    if origin in UNIONS:
        lifted = (_lift_integers(each, item) for each in inner)
        return next((each for each in lifted if each is not item), item)  # One member alone is an array, or a map.
    if origin is tuple and inner[1:] != (...,) and isinstance(item, list) and len(inner) == len(item):
        return [_lift_integers(each, value) for each, value in zip(inner, item, strict=True)]
    if origin in {tuple, list} and isinstance(item, list) and inner:
        return [_lift_integers(inner[0], each) for each in item]
    if origin is dict and isinstance(item, dict):
        return {key: _lift_integers(inner[1], each) for key, each in item.items()}
    return item


def _wants_integer(annotation: Any, said: str) -> bool:
    """Whether digits are an integer here: not beside str, and not where they are a value of a Literal or an Enum."""
    members = typing.get_args(annotation) if typing.get_origin(annotation) in UNIONS else (annotation,)
    chosen = [value for each in members for value in choices(each)]
    if str in members or said in chosen:
        return False
    return int in members or any(isinstance(each, int) for each in chosen)
