"""A reducer's arguments, from whatever door, checked and brought to one form.

Laws: what is logged is the MessagePack array of all parameters in declared order, defaults filled in, whatever came;
so a replay that runs the reducer again reads exactly what this run saw. An error names the parameter.
"""

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from store.codec import UNSTORABLE
from store.errors import MalformedCall
from store.values import constrain, dec_hook, dec_hook_trusted, encode, normaliser

PARAMETERS_MAX: Final = 64
ARGS_SIZE_MAX: Final = 4 << 20
"""Bytes a call's arguments may have, in their canonical form."""
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")

_read_shape: Final = msgspec.msgpack.Decoder(list[msgspec.Raw] | dict[str, msgspec.Raw]).decode


@dataclass(frozen=True)
class Parameter:
    """One parameter of a reducer."""

    name: str
    annotation: Any
    default: bytes | None
    """The default as MessagePack, or None where a caller must say the value."""

    @property
    def type_name(self) -> str:
        """The annotation as its author wrote it, for errors and schemas."""
        return type_name(self.annotation)


def type_name(annotation: Any) -> str:
    """An annotation as text: int, str | None, tuple[int, ...]."""
    return annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)


class Arguments:
    """The parameters of one reducer, behind its context."""

    def __init__(self, reducer: str, parameters: Sequence[Parameter]) -> None:
        if len(parameters) > PARAMETERS_MAX:
            raise TypeError(f"reducer {reducer} has {len(parameters)} parameters, more than {PARAMETERS_MAX}")
        self._reducer: Final = reducer
        self.parameters: Final = tuple(parameters)
        checked: Any = tuple[tuple(constrain(each.annotation) for each in parameters)]  # type: ignore[misc]  # Made at run time.
        self._decode: Final[Callable[[bytes | msgspec.Raw], tuple[Any, ...]]] = msgspec.msgpack.Decoder(
            checked, dec_hook=dec_hook
        ).decode
        self.decode_canonical: Final[Callable[[bytes], tuple[Any, ...]]] = msgspec.msgpack.Decoder(
            checked, dec_hook=dec_hook_trusted
        ).decode
        normals = [normaliser(each.annotation) for each in parameters]
        self._normals: Final = normals if any(normals) else None

    def read(self, raw: bytes | msgspec.Raw) -> tuple[tuple[Any, ...], bytes]:
        """Arguments that came as MessagePack, an array in order or a map by name: (values, canonical bytes).

        MalformedCall names the parameter, what it takes, and what was found.
        """
        decode = self._decode
        try:
            values = decode(raw)
            if self._normals is None and len(canonical := encode(values)) <= ARGS_SIZE_MAX:
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

    def _finish(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], bytes]:
        """The one form of arguments that were read, and its bytes."""
        if self._normals is not None:
            values = self._normalise(values)
        try:
            canonical = encode(values)
        except UNSTORABLE as error:
            raise MalformedCall(
                f"{self._reducer}: the arguments cannot be kept ({error})", details={"reducer": self._reducer}
            ) from None
        if len(canonical) > ARGS_SIZE_MAX:
            raise MalformedCall(
                f"{self._reducer}: {len(canonical)} bytes of arguments, at most {ARGS_SIZE_MAX} are taken",
                details={"reducer": self._reducer},
            )
        return values, canonical

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
                read = msgspec.msgpack.decode(item, type=constrain(each.annotation), dec_hook=dec_hook)
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
            return msgspec.convert(_lift_integers(each.annotation, item), constrain(each.annotation), dec_hook=dec_hook)
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
    """JSON's decimal strings as integers, wherever the annotation wants an integer."""
    if annotation is int:
        return int(item) if isinstance(item, str) and _INTEGER.fullmatch(item) else item
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {typing.Union, types.UnionType} and str not in inner and int in inner:
        return _lift_integers(int, item)
    if origin in {tuple, list} and isinstance(item, list):
        return [_lift_integers(inner[0], each) for each in item]
    if origin is dict and isinstance(item, dict):
        return {key: _lift_integers(inner[1], each) for key, each in item.items()}
    return item


def read_parameters(reducer: str, function: Callable[..., Any], hints: Mapping[str, Any]) -> list[Parameter]:
    """The parameters behind the context. TypeError where one has no annotation or cannot be passed in order."""
    _, *rest = inspect.signature(function).parameters.values()
    parameters = []
    for each in rest:
        where = f"reducer {reducer}, parameter {each.name}"
        if each.kind not in {each.POSITIONAL_OR_KEYWORD, each.POSITIONAL_ONLY}:
            raise TypeError(f"{where}: parameters are plain ones, without * or **")
        if each.name not in hints:
            raise TypeError(f"{where}: it needs a type annotation")
        if _says_any(hints[each.name]):
            raise TypeError(f"{where}: say which type it has; anything at all is a Json")
        default = None if each.default is each.empty else encode(each.default)
        parameters.append(Parameter(each.name, hints[each.name], default))
    return parameters


def _says_any(annotation: Any) -> bool:
    """Whether an annotation is Any, or has it somewhere inside."""
    return annotation is Any or any(map(_says_any, typing.get_args(annotation)))
