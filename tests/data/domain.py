"""What the kept data directories hold: a table with every type of column, one for each kind of key, every outcome.

Laws: what stands here is never changed in place, since old directories were written by it; new things come beside it.
"""

import datetime as dt
import uuid
from decimal import Decimal

from store.engine.reducer import Context, reducer
from store.schema import AUTO_INCREMENT, Table, column
from store.values import Json


class Thing(Table, public=True):
    """One of everything."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    name: str = column(index=True)
    code: bytes | None = column(unique=True, default=None)
    weight: float = 0.0
    there: bool = False
    price: Decimal | None = None
    made: dt.datetime | None = None
    mark: uuid.UUID | None = None
    notes: Json | None = None
    tags: tuple[str, ...] = ()


class Word(Table):
    """Keyed by text."""

    text: str = column(primary_key=True)
    count: int = 0


class Blob(Table):
    """Keyed by bytes."""

    digest: bytes = column(primary_key=True)
    body: bytes = b""


class Token(Table):
    """Keyed by a UUID."""

    id: uuid.UUID = column(primary_key=True)
    holder: str | None = None


@reducer
def make(ctx: Context, name: str, code: bytes | None) -> int:
    """Make a thing with something in every column."""
    thing = ctx.table(Thing).insert(
        Thing(
            name=name,
            code=code,
            weight=ctx.random.integer(0, 1000) / 8,
            there=True,
            price=Decimal("12.50"),
            made=ctx.time,
            mark=uuid.UUID(ctx.new_id()),
            notes=Json({"name": name, "list": [1, None, "é"]}),
            tags=("a", name),
        )
    )
    words = ctx.table(Word)
    word = words.get(name)
    if word is None:
        words.insert(Word(text=name, count=1))
    else:
        words.update(word, count=word.count + 1)
    ctx.table(Token).insert(Token(id=uuid.UUID(ctx.new_id()), holder=name))
    return thing.id


@reducer
def unmake(ctx: Context, id: int) -> None:  # noqa: A002  # The column's name.
    """Delete a thing; refuses unknown_thing."""
    things = ctx.table(Thing)
    if id not in things:
        ctx.refuse("unknown_thing", id=id)
    things.delete(id)


@reducer
def put(ctx: Context, digest: bytes, body: bytes) -> None:
    """Keep a blob, or fail by a broken rule where it is there."""
    ctx.table(Blob).insert(Blob(digest=digest, body=body))
