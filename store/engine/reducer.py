"""What a domain's author writes against: `@reducer`, `Context`, and the domain they make.

    @reducer
    def transfer(ctx: Context, source: int, target: int, amount: int) -> None:
        ...

What a parameter may be is in parameters.py. What of the arguments the audit trail may show is said with the decorator:
`@reducer(audit={...})`, audit_rules.py.

Laws: a reducer has no clock and no dice but its context's; it changes rows through `ctx.table` alone; it is a plain
function, and stays one for tests.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from types import ModuleType
from typing import Any, Final, Generic, NoReturn, ParamSpec, TypeVar, overload

import msgspec

from store.compiled import compile_function
from store.engine.arguments import Arguments
from store.engine.audit_rules import Rules, check_rules, declare
from store.engine.dice import Random, call_seed, new_id
from store.engine.identity import Identity
from store.engine.parameters import read_parameters
from store.errors import Refused
from store.ids import Offset, Timestamp
from store.schema import NAME_PATTERN, Table
from store.tables.overlay import ViewOf

P = ParamSpec("P")
Returned = TypeVar("Returned")

_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Context(msgspec.Struct, gc=False):
    """One call as its reducer sees it: at one moment, by one sender, above one write set."""

    table: ViewOf
    """`ctx.table(Account)`: the table that holds rows of this type, typed as such."""
    now: Timestamp
    """The call's moment: microseconds since 1970 in UTC, above every earlier call's."""
    sender: Identity
    """Who calls."""
    _batch_seed: bytes
    _offset: Offset
    _random: Random | None = None

    @property
    def time(self) -> datetime:
        """The call's moment as an aware datetime in UTC."""
        return _EPOCH_START + timedelta(microseconds=self.now)

    @property
    def random(self) -> Random:
        """The call's dice: the same numbers whenever this call is run again."""
        if self._random is None:
            self._random = Random(call_seed(self._batch_seed, self._offset))
        return self._random

    def new_id(self) -> str:
        """A fresh UUID of version 7."""
        return new_id(self.random, self.now)

    def refuse(self, reason: str, **details: str | float | bool | None) -> NoReturn:
        """End the call: nothing is changed, and the caller gets `reason` with the details. Raises Refused."""
        raise Refused(reason, details=details)


class Reducer(Generic[P, Returned]):
    """A reducer: a plain function to call, with the name, the parameters and the return type the store needs."""

    def __init__(self, function: Callable[P, Returned], audit: Rules | None = None) -> None:
        self.name: Final[str] = function.__name__
        self.function: Final = function
        self.__doc__ = function.__doc__
        if not NAME_PATTERN.fullmatch(self.name):
            raise TypeError(f"a reducer's name matches {NAME_PATTERN.pattern}, found {self.name!r}")
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"reducer {self.name}: a reducer is a plain function, it runs to its end at one moment")
        if not inspect.signature(function).parameters:
            raise TypeError(f"reducer {self.name}: its first parameter is the Context")
        self.arguments: Final = Arguments(self.name, read_parameters(self.name, function))
        self.apply: Final = _apply(function, len(self.arguments.parameters))
        """Calls the function with a context and a tuple of all arguments."""
        self.returns: Final[Any] = typing.get_type_hints(function).get("return", Any)
        check_rules(self.name, self.arguments.parameters, audit or {})
        self.declaration: Final = declare(self.arguments.parameters, audit or {})
        """[[parameter, audit rule], ...], as the start record holds it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Returned:
        """Run the plain function, as a test or another reducer does."""
        return self.function(*args, **kwargs)


def _apply(function: Callable[..., Returned], count: int) -> Callable[[Context, tuple[Any, ...]], Returned]:
    """`function(context, *values)`, written out for so many values: half of what unpacking them would cost."""
    given = "".join(f", values[{place}]" for place in range(count))
    text = f"def apply(context, values):\n    return function(context{given})\n"
    return compile_function(text, f"{function.__name__}.apply", {"function": function})


@overload
def reducer(function: Callable[P, Returned]) -> Reducer[P, Returned]: ...
@overload
def reducer(*, audit: Rules) -> Callable[[Callable[P, Returned]], Reducer[P, Returned]]: ...


def reducer(function: Callable[P, Returned] | None = None, *, audit: Rules | None = None) -> Any:
    """Make a function a reducer; `audit` says by parameter what is shipped of its arguments, all of them unless said.

    TypeError says what is wrong with its declaration.
    """
    return partial(Reducer, audit=audit) if function is None else Reducer(function)


@dataclass(frozen=True)
class Domain:
    """Tables and reducers that a tenant is served with."""

    tables: tuple[type[Table], ...]
    reducers: Mapping[str, Reducer[Any, Any]]

    @cached_property
    def sensitive(self) -> frozenset[str]:
        """The names of the tables that are declared sensitive: reading them takes an offset."""
        return frozenset(each.__table__.name for each in self.tables if each.__sensitive__)

    @property
    def declarations(self) -> dict[str, list[list[str]]]:
        """What each reducer's arguments are called, and what the audit trail may show of them."""
        return {name: each.declaration for name, each in sorted(self.reducers.items())}

    @classmethod
    def of(cls, *modules: ModuleType) -> "Domain":
        """Everything that these modules define. TypeError where two define the same name."""
        tables: dict[str, type[Table]] = {}
        reducers: dict[str, Reducer[Any, Any]] = {}
        for module in modules:
            for each in vars(module).values():
                if isinstance(each, Reducer) and each.function.__module__ == module.__name__:
                    if reducers.setdefault(each.name, each) is not each:
                        raise TypeError(f"{module.__name__}: there is a reducer {each.name} already")
                elif _is_table(each) and each.__module__ == module.__name__:
                    name = each.__table__.name
                    if tables.setdefault(name, each) is not each:
                        raise TypeError(f"{module.__name__}: there is a table {name} already")
        return cls(tables=tuple(tables.values()), reducers=reducers)


def _is_table(each: object) -> bool:
    return isinstance(each, type) and issubclass(each, Table) and each is not Table
