"""The rules of a live view: its rows, its indexes, what it tells, and how it ends."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reducers.accounts import Account
from store.client import Delete, Insert, Update
from store.errors import Denied, SchemaMismatch, StoreError
from store.ids import Offset, QueryId
from store.schema import Table, column
from store.subscribe.messages import ColumnInfo, Subscribed, TableInfo
from tests.client.scenes import Watcher, anew, delta, failure, raw, said, subscribed, waiting


class Colour(Table):
    """No account."""

    id: int = column(primary_key=True)
    owner: str


def test_callbacks_hear_of_each_change() -> None:
    """Inserts and deletes come with their row, updates with the row before and after."""
    watcher, told = Watcher(), list[Any]()
    view = watcher.follow([1, "ada", 5], [2, "bob", 1])
    view.on_insert(lambda row: told.append(("insert", row.id)))
    view.on_update(lambda before, after: told.append(("update", before.balance, after.balance)))
    view.on_delete(lambda row: told.append(("delete", row.owner)))
    watcher.hear(delta(4, [1, "ada", 6], [3, "cyd", 0], keys=(2,)))
    assert sorted(told) == [("delete", "bob"), ("insert", 3), ("update", 5, 6)]


def test_a_callback_sees_the_rows_at_its_transaction() -> None:
    """Where a frame brings several transactions, a callback sees every view at its own, not beyond."""
    watcher, seen = Watcher(), list[Any]()
    one, two = watcher.follow([1, "ada", 5]), watcher.follow([1, "ada", 5], query="r", sql="SELECT * FROM accounts a")
    one.on_update(lambda _before, after: seen.append((after.balance, one[1].balance, two[1].balance, one.offset)))
    watcher.hear(
        *(delta(offset, [1, "ada", offset]) for offset in (4, 5)),
        delta(6, [1, "ada", 6], query="r"),
        delta(7, [1, "ada", 7]),
    )
    assert seen == [(4, 4, 5, 4), (5, 5, 5, 5), (7, 7, 6, 7)]


def test_rows_sent_anew_are_told_as_what_differs() -> None:
    """A view that is replaced changes at once, and tells one set of changes: what is different now."""
    watcher, told = Watcher(), list[Any]()
    view = watcher.follow([1, "ada", 5], [2, "bob", 1], [3, "cyd", 2])
    owners, changes, deltas = view.index("owner"), view.changes(), view.deltas()
    view.on_insert(lambda row: told.append(row.id))
    view.on_update(lambda _before, after: told.append((after.id, len(view))))
    view.on_delete(lambda row: told.append(-row.id))
    watcher.come_back(subscribed(1, 90, [1, "ada", 5], [2, "eve", 1], [4, "dan", 0]))
    assert told == [(2, 3), 4, -3]
    assert [type(each) for each in waiting(changes)] == [Update, Insert, Delete]
    assert [each.reset for each in waiting(deltas)] == [True]
    assert sorted(owners) == ["ada", "dan", "eve"]
    assert view.offset == 90


def test_who_looks_is_told_that_rows_were_sent_anew_and_why(caplog: pytest.LogCaptureFixture) -> None:
    """The view says the reason for good, its deltas once, a callback before the changes, and the log in a line."""
    watcher, told = Watcher(), list[Any]()
    view = watcher.follow([1, "ada", 5])
    deltas = view.deltas()
    view.on_insert(lambda row: told.append(row.id))
    stop = view.on_anew(lambda why: told.append((why.reason, why.asked_offset, len(view))))
    assert view.anew is None
    watcher.come_back(subscribed(1, 90, [1, "ada", 5], [4, "dan", 0], anew=anew("past_horizon", 3)))
    watcher.hear(delta(91, [5, "eve", 0]))
    assert told == [("past_horizon", 3, 2), 4, 5]
    assert view.anew == anew("past_horizon", 3)
    assert [each.anew and each.anew.reason for each in waiting(deltas)] == ["past_horizon", None]
    assert [each.message for each in caplog.records if "because of past_horizon" in each.message] != []
    stop()
    watcher.come_back(subscribed(1, 99))
    assert (told[3:], view.anew and view.anew.reason) == ([], "unknown")


def test_a_view_that_resumes_was_not_sent_anew() -> None:
    """Nobody is told so."""
    watcher, told = Watcher(), list[Any]()
    view = watcher.follow([1, "ada", 5])
    view.on_anew(told.append)
    watcher.come_back(subscribed(1, 3, resumed=True), delta(8, [1, "ada", 6]))
    assert (told, view.anew, view[1].balance) == ([], None, 6)


def test_an_index_is_by_any_column() -> None:
    """By a column of the table's class or its name, made once; a column these rows do not have is refused by name."""
    view = Watcher().follow([1, "ada", 5], [2, "ada", 7])
    assert [row.id for row in view.index(Account.owner)["ada"]] == [1, 2]
    assert view.index("owner") is view.index(Account.owner)
    for wrong in ("colour", Colour.owner, 3):
        with pytest.raises(ValueError, match=r"accounts \(id, owner, balance\)"):
            view.index(wrong)


def test_unsubscribing_is_calling_what_was_returned() -> None:
    """A callback hears nothing once it was taken away, twice over too, and also by another one of the same change."""
    watcher, told = Watcher(), list[str]()
    view = watcher.follow()

    def once(_row: object) -> None:
        told.append("once")
        stop()
        later()

    stop = view.on_insert(once)
    later = view.on_insert(lambda _row: told.append("later"))
    watcher.hear(delta(4, [1, "ada", 5]), delta(5, [2, "ada", 5]))
    assert told == ["once"]
    stop()
    assert len(watcher.views.apart(b"\x92\x90\x90")) == 1, "nobody listens: frames stay whole"


def test_a_callback_that_raises_harms_nobody() -> None:
    """The other callbacks and the view go on; what was raised is reported."""
    watcher, told = Watcher(), list[int]()
    view = watcher.follow()
    view.on_insert(lambda row: 1 // row.balance)
    view.on_insert(lambda row: told.append(row.id))
    watcher.hear(delta(4, [1, "ada", 0]), delta(5, [2, "ada", 1]))
    assert (told, [type(each) for each in watcher.raised]) == ([1, 2], [ZeroDivisionError])


def test_a_view_may_be_closed_by_its_own_callback() -> None:
    """It tells nothing any more, and its rows stay as they were."""
    watcher, told = Watcher(), list[Any]()
    view = watcher.follow()
    view.on_insert(lambda row: (told.append(row.id), watcher.views.close(1), view.end(None)))
    view.on_end(told.append)
    watcher.hear(delta(4, [1, "ada", 0], [2, "bob", 0]), delta(5, [3, "cyd", 0]))
    assert told == [1, None]
    assert (sorted(view), view.closed, view.offset) == ([1, 2], True, 4)


def test_one_views_error_leaves_the_others_alive() -> None:
    """A subscription the server ends is told to its callbacks and streams; another view goes on."""
    watcher, ends = Watcher(), list[StoreError | None]()
    one, two = watcher.follow([1, "ada", 5]), watcher.follow([1, "ada", 5], query="r", sql="SELECT * FROM accounts a")
    changes = one.changes()
    one.on_end(ends.append)
    two.on_end(ends.append)
    watcher.hear(delta(4, [1, "ada", 6]), failure("subscribe", 1, "denied"), delta(5, [1, "ada", 7], query="r"))
    assert [type(each) for each in ends] == [Denied]
    assert (one[1].balance, one.offset, two[1].balance, two.closed) == (6, 4, 7, False)
    assert len(waiting(changes)) == 1
    with pytest.raises(Denied):
        asyncio.run(anext(changes))  # type: ignore[arg-type]  # It is awaitable.


def test_rows_of_another_form_keep_what_is_indexed() -> None:
    """Where the server's table has changed, indexes follow; one whose column is gone ends its view, with the reason."""
    for columns, rows, closed in (
        (("id", "team", "owner"), ([1, "x", "eve"],), False),
        (("id", "team", "size"), ([1, "x", "y"],), True),
    ):
        watcher = Watcher()
        view = watcher.follow([1, "ada", 5])
        owners = view.index("owner")
        kinds = ("int", "str", "str")
        info = TableInfo("accounts", 0, tuple(ColumnInfo(*each, False) for each in zip(columns, kinds, strict=True)))
        watcher.come_back(Subscribed(1, QueryId("q"), Offset(9), info, False, raw(rows)))
        assert view.closed == closed
        if closed:
            assert isinstance(view.error, SchemaMismatch)
            assert said(watcher.conversation), "the server is told"
        else:
            assert list(owners) == ["eve"]


def test_only_plain_functions_are_called() -> None:
    """What must be awaited, or cannot be called at all, is refused where it is given."""

    async def later(_row: msgspec.Struct) -> None:
        """Never runs."""

    view = Watcher().follow()
    for wrong in (later, None):
        with pytest.raises(TypeError, match="plain function"):
            view.on_insert(wrong)  # type: ignore[arg-type]  # That is the point.


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.binary(max_size=20) | st.binary(max_size=20).map(lambda tail: b"\x93\x91\xa5delta" + tail))
def test_a_frame_taken_apart_says_what_it_said(frame: bytes) -> None:
    """Whatever its bytes, nothing is raised; what is no array of messages stays whole for the conversation to judge."""
    watcher = Watcher()
    watcher.follow().on_insert(print)
    try:
        whole = msgspec.msgpack.decode(frame, type=list[msgspec.Raw])
    except ValueError:
        assert watcher.views.apart(frame) == [frame]
    else:
        assert watcher.views.apart(frame) == [b"\x91" + bytes(each) for each in whole]
    assert watcher.views.apart(str(frame)) == [str(frame)]
