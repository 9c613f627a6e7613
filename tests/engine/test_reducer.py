"""What a domain's author writes against: the declaration of reducers, the context, the domain."""

import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from store.engine.dice import Random, call_seed
from store.engine.identity import Identity
from store.engine.reducer import Context, Domain, Reducer, reducer
from store.errors import Refused
from store.ids import Offset, Timestamp
from store.schema import Table, column
from tests.engine import shop
from tests.engine.scenes import ADA, a_caller, committed, logged, memory_disk, open_shop, value


def a_context(*, seed: bytes = bytes(16), offset: int = 7, now: int = 1_700_000_000_000_001) -> Context:
    """A context without tables."""

    def no_tables(_: type[Table]) -> Any:
        raise AssertionError

    return Context(no_tables, Timestamp(now), ADA, seed, Offset(offset))


def test_a_reducer_stays_a_plain_function() -> None:
    """It is called as such by tests and by other reducers, and keeps name and docstring."""

    @reducer
    def double(ctx: Context, number: int) -> int:  # A context comes first.
        """Twice as much."""
        return 2 * number

    assert (double(a_context(), 4), double.name, double.__doc__) == (8, "double", "Twice as much.")
    assert [(each.name, each.type_name) for each in double.arguments.parameters] == [("number", "int")]
    assert double.returns is int


async def a_coroutine(ctx: Context) -> None:
    """Not at one moment."""


def a_generator(ctx: Context) -> Iterator[int]:  # A context comes first.
    """Not to its end."""
    yield 1


def without_context() -> None:
    """Nothing to write to."""


def without_annotation(ctx, number):  # type: ignore[no-untyped-def]
    """Nothing to check against."""


def with_stars(ctx: Context, *numbers: int) -> None:
    """No order."""


def by_keyword(ctx: Context, *, number: int) -> None:
    """No place."""


def UpperCase(ctx: Context) -> None:  # noqa: N802  # That is the test.
    """No name."""


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (a_coroutine, "plain function"),
        (a_generator, "plain function"),
        (without_context, "first parameter is the Context"),
        (without_annotation, "parameter number: it needs a type annotation"),
        (with_stars, "without \\* or \\*\\*"),
        (by_keyword, "without \\* or \\*\\*"),
        (UpperCase, "a reducer's name matches"),
    ],
)
def test_what_cannot_be_a_reducer_is_refused(function: Callable[..., Any], says: str) -> None:
    """A TypeError at import says what is wrong with the declaration."""
    with pytest.raises(TypeError, match=says):
        reducer(function)


def a_module(name: str, **content: Any) -> types.ModuleType:
    """A module with this in it."""
    module = types.ModuleType(name)
    for each in content.values():
        if isinstance(each, Reducer):
            each.function.__module__ = name
        else:
            each.__module__ = name
    vars(module).update(content)
    return module


def a_reducer(name: str) -> Reducer[..., Any]:
    """A reducer of that name."""

    def act(ctx: Context) -> None:
        """Do nothing."""

    act.__name__ = name
    return reducer(act)


def a_table(name: str) -> type[Table]:
    """A table of that name."""

    class Thing(Table, name=name):
        id: int = column(primary_key=True)

    return Thing


def test_a_domain_is_what_its_modules_define() -> None:
    """Tables and reducers of all modules together; what a module only imports is not its own."""
    first = a_module("first", act=a_reducer("act"), Thing=a_table("things"))
    second = a_module("second", other=a_reducer("other"))
    vars(second)["act"] = vars(first)["act"]
    vars(second)["Thing"] = vars(first)["Thing"]
    vars(second)["Table"] = Table
    domain = Domain.of(first, second)
    assert list(domain.reducers) == ["act", "other"]
    assert [each.__table__.name for each in domain.tables] == ["things"]
    assert Domain.of(second).tables == ()


def test_two_definitions_of_one_name_are_refused() -> None:
    """A TypeError names the module and what it defines twice."""
    with pytest.raises(TypeError, match="second: there is a reducer act already"):
        Domain.of(a_module("first", act=a_reducer("act")), a_module("second", act=a_reducer("act")))
    with pytest.raises(TypeError, match="second: there is a table things already"):
        Domain.of(a_module("first", A=a_table("things")), a_module("second", B=a_table("things")))


def test_a_context_tells_the_moment_and_the_sender() -> None:
    """`now` in microseconds, `time` as an aware datetime, `sender` as the log keeps it."""
    ctx = a_context()
    assert ctx.time == datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)
    engine = open_shop()
    answer = committed(engine, "who", caller=a_caller("bob"))
    record = logged(memory_disk(engine))[-1]
    assert value(answer) == ["tests", "bob", record.timestamp]


def test_a_context_throws_the_same_dice_whenever_its_call_is_run() -> None:
    """Numbers follow from batch seed and offset alone; one stream serves `random` and `new_id`."""
    assert a_context().random.bytes(8) == Random(call_seed(bytes(16), Offset(7))).bytes(8)
    assert a_context().new_id() == a_context().new_id()
    assert a_context().new_id() != a_context(offset=8).new_id()
    assert a_context().new_id() != a_context(seed=b"x" * 16).new_id()
    ctx = a_context()
    assert ctx.new_id() != ctx.new_id()
    assert ctx.random is ctx.random


def test_to_refuse_ends_the_call() -> None:
    """`refuse` raises, with reason and details."""
    with pytest.raises(Refused) as refused:
        a_context().refuse("overdraft", balance=3)
    assert (refused.value.reason, refused.value.details) == ("overdraft", {"balance": 3})


def test_the_sender_is_an_identity() -> None:
    """Reducers may look at its claims."""
    assert isinstance(a_context().sender, Identity)


def test_a_table_of_no_loaded_domain_is_a_type_error() -> None:
    """A reducer that asks for one fails."""

    @reducer
    def astray(ctx: Context) -> None:
        """Ask for a table that nobody loaded."""
        ctx.table(a_table("astray"))

    domain = Domain.of(shop)
    engine = open_shop(domain=Domain(domain.tables, {**domain.reducers, "astray": astray}))
    answer = committed(engine, "astray")
    assert answer.outcome == "reducer_failed"
    assert b"TypeError" in answer.value
