"""A small domain for the tests of the doors: notes anyone may read, secrets nobody may, and reducers that misbehave."""

from store.engine.reducer import Context, reducer
from store.schema import Table, column


class Note(Table, name="notes", public=True):
    """A note by one author."""

    id: int = column(primary_key=True)
    text: str = column(unique=True)
    blob: bytes = b""


class Secret(Table, name="secrets"):
    """What only an operator may read."""

    id: int = column(primary_key=True)


@reducer
def write(ctx: Context, note: int, text: str = "") -> int:
    """Write a note and return its number; refuses an empty one."""
    if not text:
        ctx.refuse("empty", note=note)
    ctx.table(Note).upsert(Note(id=note, text=text))
    return note


@reducer
def fill(ctx: Context, note: int, size: int) -> None:
    """Write a note of so many bytes."""
    ctx.table(Note).upsert(Note(id=note, text=f"note {note}", blob=bytes(size)))


@reducer
def hide(ctx: Context, secret: int) -> None:
    """Keep a secret."""
    ctx.table(Secret).upsert(Secret(id=secret))


@reducer
def big(ctx: Context) -> tuple[int, bytes]:
    """Return what JSON cannot carry as it is."""
    del ctx
    return 2**60, b"\x00\xff"


@reducer
def stumble(ctx: Context) -> None:
    """Raise what no caller should see."""
    del ctx
    raise ValueError("the password is 1234")
