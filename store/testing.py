"""A whole store in memory, in one line, for the tests of a domain's author.

    store = Store.in_memory(accounts)
    store.call("transfer", 1, 2, 30, sender="ada")
    assert store.rows(Account) == [...]

It is the real engine and the real log over a disk in memory; `crash()` loses what was not synced and recovers.
"""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final, TypeVar, cast

import msgspec

from store.codec import UNSTORABLE
from store.engine.engine import Engine, open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.reducer import Domain, Reducer
from store.engine.write_path import Answer
from store.env.memory import MemoryClock, MemoryDisk, NoDeadline, SeededEntropy
from store.env.world import World
from store.errors import CALL_ERRORS, CallError, Refused
from store.ids import ConnectionId
from store.log.commitlog import LogOptions
from store.schema import Table
from store.values import constrain, dec_hook_trusted, encode, unsayable

Row = TypeVar("Row", bound=Table)


class Store:
    """One tenant in memory; every call is committed before it returns."""

    def __init__(self, world: World, domain: Domain) -> None:
        self._domain: Final = domain
        self.world: World = world
        self.engine: Engine = open_engine(world, domain, options=EngineOptions(), log_options=LogOptions())

    @classmethod
    def in_memory(cls, *modules: ModuleType, seed: int = 1) -> "Store":
        """A fresh store that serves these domains. The same seed, the same dice."""
        world = World(MemoryDisk(), MemoryClock(), SeededEntropy(seed), NoDeadline())
        return cls(world, Domain.of(*modules))

    def call(self, name: str | Reducer[..., Any], *args: Any, sender: str = "tester", **named: Any) -> Any:
        """Call a reducer and return its typed value. Raises the CallError that a client would get."""
        if args and named:
            raise TypeError("say the arguments by position or by name, not both")
        reducer = name if isinstance(name, Reducer) else self._domain.reducers.get(name)
        called = name if isinstance(name, str) else name.name
        answer = self.answer(called, _say(called, reducer, args, named), sender=sender)
        if answer.outcome:
            raise call_error(answer)
        returns = reducer.returns if reducer is not None else Any
        kind = constrain(returns) if returns is not Any else Any
        return msgspec.msgpack.decode(answer.value, type=kind, dec_hook=dec_hook_trusted)

    def answer(self, name: str, args: bytes, *, sender: str = "tester") -> Answer:
        """Call a reducer with encoded arguments and return the answer as it is logged, committed."""
        caller = Caller(Identity("tests", sender, SCOPES), ConnectionId(1), "memory")
        answer = self.engine.write_path.call(caller, name, args)
        self.engine.group_commit.commit()
        return answer

    def rows(self, row_type: type[Row]) -> list[Row]:
        """All rows of a table, in primary-key order."""
        table = self.engine.database.table(row_type.__table__.name)
        assert table is not None, f"{row_type.__name__} is not a table of a loaded domain"
        decode = cast("Callable[[bytes], Row]", table.codec.decode)
        return [decode(table.rows[key]) for key in table.ordered_keys()]

    def crash(self) -> "Store":
        """The same tenant after a power loss: what was not synced is gone, the rest is recovered."""
        disk = self.world.disk
        assert isinstance(disk, MemoryDisk)
        return Store(World(disk.crash_drop_all(), self.world.clock, self.world.entropy, NoDeadline()), self._domain)


def call_error(answer: Answer) -> CallError:
    """A failed call's answer as the exception a client raises."""
    message, details, reason = msgspec.msgpack.decode(answer.value)
    if answer.outcome == Refused.code:
        return Refused(reason, message=message, details=details)
    return CALL_ERRORS[answer.outcome](message, details=details)


def _say(name: str, reducer: Reducer[..., Any] | None, args: Sequence[Any], named: Mapping[str, Any]) -> bytes:
    """The arguments as a client says them. MalformedCall names the one that no client could say."""
    try:
        return encode(named or list(args))
    except UNSTORABLE as error:
        parameters = reducer.arguments.parameters if reducer is not None else ()
        said = named.items() or zip((each.name for each in parameters), args, strict=False)
        raise unsayable(name, said, error) from None
