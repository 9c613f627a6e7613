"""A small domain for the tests of sessions: books anyone may read, and loans that are private."""

from datetime import datetime

from store.engine.reducer import Context, reducer
from store.schema import Table, column
from store.values import Json


class Book(Table, name="books", public=True):
    """A book on the shelf; one column of every kind that travels in a way of its own."""

    id: int = column(primary_key=True)
    author: str = column(index=True)
    copies: int = 0
    genre: str | None = None
    cover: bytes = b""
    bought: datetime | None = None
    notes: Json = Json.parse("{}")


class Author(Table, name="authors", public=True):
    """How many books an author has here."""

    name: str = column(primary_key=True)
    books: int = 0


class Loan(Table, name="loans", sensitive=True):
    """Who has which book: nobody's business."""

    book: int = column(primary_key=True)
    reader: str


@reducer
def put(ctx: Context, book: int, author: str, copies: int = 1, genre: str | None = None) -> int:
    """Put a book on the shelf, or change it; returns its copies."""
    ctx.table(Book).upsert(Book(id=book, author=author, copies=copies, genre=genre))
    return copies


@reducer
def put_whole(ctx: Context, book: int, author: str, cover: bytes, bought: datetime, notes: Json) -> list[bytes]:
    """Put a book with everything on the shelf."""
    ctx.table(Book).upsert(Book(id=book, author=author, copies=2**60, cover=cover, bought=bought, notes=notes))
    return [cover]


@reducer
def count(ctx: Context, author: str) -> None:
    """Note how many books an author has, in the same transaction as a stamp on each."""
    books = ctx.table(Book)
    mine = books.find(author=author)
    for each in mine:
        books.update(each, copies=each.copies + 1)
    ctx.table(Author).upsert(Author(name=author, books=len(mine)))


@reducer
def drop(ctx: Context, book: int) -> bool:
    """Take a book from the shelf."""
    return ctx.table(Book).delete(book)


@reducer
def lend(ctx: Context, book: int, reader: str) -> None:
    """Lend a book out; refuses where it is not on the shelf."""
    if ctx.table(Book).get(book) is None:
        ctx.refuse("no_such_book", book=book)
    ctx.table(Loan).upsert(Loan(book=book, reader=reader))


@reducer
def nothing(ctx: Context) -> None:
    """Commit without changing a row."""
