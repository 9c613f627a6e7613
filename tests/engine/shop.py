"""A domain for the engine's tests: every way in which a reducer can write, return and fail."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from store.engine.reducer import Context, reducer
from store.errors import ConstraintViolation
from store.schema import AUTO_INCREMENT, Table, column


class Task(Table, public=True):
    """A table that counts its keys, with an index and a unique column."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    owner: str = column(index=True, default="")
    slug: str | None = column(unique=True, default=None)
    note: str = ""


class Note(Table):
    """A private table whose key is text."""

    key: str = column(primary_key=True)
    body: bytes = b""


class Thing(Table, public=True):
    """A table whose key is a UUID, with an indexed timestamp."""

    id: UUID = column(primary_key=True)
    made: datetime = column(index=True, default=datetime(2026, 1, 1, tzinfo=UTC))


@reducer
def add(ctx: Context, owner: str, slug: str | None = None, note: str = "") -> int:
    """Add a task and return its number."""
    return ctx.table(Task).insert(Task(owner=owner, slug=slug, note=note)).id


@reducer
def give(ctx: Context, task: int, owner: str) -> None:
    """Give a task to another owner; refuses unknown_task."""
    tasks = ctx.table(Task)
    tasks.update(tasks.get(task) or ctx.refuse("unknown_task", task=task), owner=owner)


@reducer
def remove(ctx: Context, task: int) -> bool:
    """Remove a task; whether there was one."""
    return ctx.table(Task).delete(task)


@reducer
def put(ctx: Context, key: str, body: bytes) -> None:
    """Write a note."""
    ctx.table(Note).upsert(Note(key=key, body=body))


@reducer
def make(ctx: Context) -> str:
    """Make a thing that nobody could have guessed."""
    made = ctx.table(Thing).insert(Thing(id=UUID(ctx.new_id()), made=ctx.time))
    return str(made.id)


@reducer
def roll(ctx: Context) -> int:
    """Throw the dice, and note the throw."""
    thrown = ctx.random.integer(1, 1_000_000)
    ctx.table(Note).upsert(Note(key="throw", body=str(thrown).encode()))
    return thrown


@reducer
def look(ctx: Context) -> list[str]:
    """Change nothing: the owners in key order."""
    return [task.owner for task in ctx.table(Task)]


@reducer
def who(ctx: Context) -> list[str | int]:
    """What the context says of the call."""
    return [ctx.sender.issuer, ctx.sender.subject, ctx.now]


@reducer
def echo(ctx: Context, values: list[float]) -> int:  # A context comes first.
    """Arguments that may be far larger in canonical form than they came."""
    return len(values)


@reducer
def fail(ctx: Context, how: str, size: int = 0) -> Any:  # noqa: C901, PLR0911, PLR0912  # One way a line.
    """Write to every table, then end in the way that is named."""
    tasks, notes = ctx.table(Task), ctx.table(Note)
    task = tasks.insert(Task(owner="ghost", slug="ghost"))
    notes.upsert(Note(key="ghost", body=b"boo"))
    if (first := next(iter(tasks))) and first.id != task.id:
        tasks.update(first, owner="ghost", slug="taken")
    if how == "refuse":
        ctx.refuse("no", size=size)
    if how == "refuse with much":
        ctx.refuse("no", much="x" * size)
    if how == "refuse with nonsense":
        endless: list[Any] = []
        endless.append(endless)
        ctx.refuse("no", nonsense=endless)  # type: ignore[arg-type]  # That is the test.
    if how == "refuse with a surrogate":
        ctx.refuse("\ud800", **{"\udfff": "\ud800"})
    if how == "refuse with a number":
        ctx.refuse(7)  # type: ignore[arg-type]  # That is the test.
    if how == "raise":
        raise ZeroDivisionError("1/0")
    if how == "raise what cannot be shown":
        raise Unspeakable
    if how == "exit":
        raise SystemExit(1)
    if how == "violate":
        notes.insert(Note(key="ghost"))
    if how == "violate with much":
        raise ConstraintViolation("x" * size)
    if how == "write much":
        for number in range(12):
            notes.upsert(Note(key=f"much {number}", body=bytes(size)))
        return None
    if how == "write long keys":
        for number in range(7):
            notes.upsert(Note(key=f"{number}" + "k" * size))
        return None
    if how == "write many":
        for number in range(size):
            notes.upsert(Note(key=f"{number}"))
        return None
    if how == "return a function":
        return fail
    if how == "return a set of sets":
        return {frozenset({1, object()})}
    if how == "return much":
        return b"x" * size
    if how == "return a surrogate":
        return "\ud800"
    if how == "return a great integer":
        return 1 << 64
    if how == "forever":
        while True:
            tasks.update(task, note=task.note)
    raise AssertionError(how)


class Unspeakable(Exception):
    """An exception that fails when it is asked what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__
