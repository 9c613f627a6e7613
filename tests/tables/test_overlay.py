"""The overlay: one unfinished write set above the tables."""

from enum import IntEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import ROW_SIZE_MAX, RowCodec
from store.errors import ConstraintViolation
from store.ids import SchemaVersion, TableId
from store.schema import AUTO_INCREMENT, Schema, Table, column
from store.tables.database import Database
from store.tables.overlay import Overlay, TableView
from store.values import encode


class Task(Table, public=True):
    """A table with an index and a unique column."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    owner: str | None = column(index=True, default=None)
    slug: str | None = column(unique=True, default=None)
    done: bool = False


def make() -> tuple[Database, Overlay, TableView[Task]]:
    """An empty database of one table, and its overlay."""
    planned = msgspec.structs.replace(Task.__table__, id=TableId(1))
    database = Database(lambda table: RowCodec[Any](table, Task))
    database.adopt(Schema(version=SchemaVersion(1), tables=(planned,)))
    overlay = Overlay(database)
    return database, overlay, overlay.view(Task)


def commit(database: Database, overlay: Overlay) -> int:
    """Apply the write set, as the write path does; the number of writes."""
    writes = overlay.write_set()
    overlay.clear()
    database.apply(writes)
    return len(writes)


def test_a_write_is_seen_above_and_not_below() -> None:
    """What a reducer wrote it reads back; the tables know nothing of it before it is applied."""
    database, overlay, tasks = make()
    task = tasks.insert(Task(owner="ada"))
    assert (task.id, tasks.get(1), len(tasks), list(tasks)) == (1, task, 1, [task])
    assert len(database.tables[TableId(1)]) == 0
    assert commit(database, overlay) == 1
    assert tasks.get(1) == task


def test_a_cleared_write_set_leaves_nothing() -> None:
    """After a failed call rows, indexes and keys are as before."""
    database, overlay, tasks = make()
    tasks.insert(Task(owner="ada", slug="a"))
    overlay.clear()
    assert (list(tasks), tasks.find(owner="ada"), tasks.find(slug="a"), overlay.write_set()) == ([], [], [], ())
    assert tasks.insert(Task(slug="a")).id == 1
    assert commit(database, overlay) == 1


def test_only_net_writes_remain() -> None:
    """Inserted and deleted is nothing; changed and changed back is nothing; deleted and inserted is an update."""
    database, overlay, tasks = make()
    first = tasks.insert(Task(owner="ada"))
    commit(database, overlay)
    tasks.delete(tasks.insert(Task()).id)
    tasks.update(tasks.update(first, done=True), done=False)
    assert overlay.write_set() == ()
    tasks.delete(first.id)
    tasks.insert(Task(id=first.id, owner="bob"))
    ((_, op, key, before, after),) = overlay.write_set()
    assert (op, key, before is None, after is None) == (2, first.id, False, False)


def test_keys_are_never_reused_once_committed() -> None:
    """An auto-increment key is above every key ever committed, also one that was given by hand or deleted since."""
    database, overlay, tasks = make()
    tasks.insert(Task(id=7))
    assert [tasks.insert(Task()).id, tasks.insert(Task()).id] == [1, 2]
    commit(database, overlay)
    tasks.delete(7)
    commit(database, overlay)
    assert tasks.insert(Task()).id == 8


def test_an_auto_increment_key_avoids_keys_given_in_the_same_call() -> None:
    """A key given by hand earlier in the call is skipped."""
    _, _, tasks = make()
    tasks.insert(Task(id=1))
    tasks.insert(Task(id=2))
    assert tasks.insert(Task()).id == 3


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda tasks: tasks.insert(Task(id=1)), "tasks?.id: a row with key 1 exists already"),
        (lambda tasks: tasks.insert(Task(slug="one")), "slug: 'one' is taken by the row with key 1"),
        (lambda tasks: tasks.update(Task(id=99)), "no row with key 99"),
        (lambda tasks: tasks.update(tasks.get(1), id=2), "never changes"),
        (lambda tasks: tasks.update(tasks.get(2), slug="one"), "slug: 'one' is taken"),
        (lambda tasks: tasks.upsert(Task(id=3, slug="one")), "slug: 'one' is taken"),
        (lambda tasks: tasks.update(tasks.get(1), done=1), "task.done: expected bool"),
        (lambda tasks: tasks.insert(Task(owner="x" * (1 << 20))), "at most 1048576"),
    ],
)
def test_a_broken_rule_is_named(act: Any, says: str) -> None:
    """Each rule is a ConstraintViolation that names it, and leaves the overlay as it was."""
    database, overlay, tasks = make()
    tasks.insert(Task(slug="one"))
    tasks.insert(Task(slug="two"))
    commit(database, overlay)
    with pytest.raises(ConstraintViolation, match=says):
        act(tasks)
    assert overlay.write_set() == ()


def test_a_unique_value_is_free_again_after_it_went() -> None:
    """Within one call a unique value may move from row to row."""
    database, overlay, tasks = make()
    first = tasks.insert(Task(slug="one"))
    commit(database, overlay)
    tasks.update(first, slug=None)
    tasks.insert(Task(slug="one"))
    assert commit(database, overlay) == 2


def test_a_row_that_does_not_fit_takes_no_key() -> None:
    """A row that is too large only with its counted key leaves the next call's keys as they would have been."""
    database, overlay, tasks = make()
    tasks.insert(Task(id=199))
    commit(database, overlay)
    fitting = Task(owner="x" * (ROW_SIZE_MAX - 9))
    assert len(encode(fitting)) == ROW_SIZE_MAX
    with pytest.raises(ConstraintViolation, match="at most"):
        tasks.insert(fitting)
    overlay.clear()
    assert tasks.insert(Task()).id == 200


@pytest.mark.parametrize("key", [True, 1.0])
def test_a_key_is_written_as_the_table_keeps_it(key: Any) -> None:
    """Whatever equals a key finds its row; what is logged is the row's own key."""
    database, overlay, tasks = make()
    tasks.insert(Task())
    commit(database, overlay)
    assert tasks.delete(key)
    ((_, op, written, *_),) = overlay.write_set()
    assert (op, written, type(written)) == (3, 1, int)


def test_many_rows_may_have_no_unique_value() -> None:
    """NULL is not equal to NULL: a unique column takes any number of them."""
    _, _, tasks = make()
    assert [tasks.insert(Task()).slug, tasks.insert(Task()).slug] == [None, None]


@pytest.mark.parametrize(
    "act",
    [
        lambda tasks: tasks.find(done=True),
        lambda tasks: tasks.find(nothing=1),
        lambda tasks: tasks.find(),
        lambda tasks: tasks.update(tasks.insert(Task()), nothing=1),
        lambda tasks: tasks.insert("a string"),
    ],
)
def test_a_programming_error_is_a_type_error(act: Any) -> None:
    """What no caller can cause is a TypeError, which fails the reducer."""
    _, _, tasks = make()
    with pytest.raises(TypeError):
        act(tasks)


keys = st.integers(1, 6)
steps = st.lists(
    st.tuples(
        st.sampled_from(["insert", "update", "upsert", "delete", "commit", "clear"]),
        keys,
        st.sampled_from([None, "ada", "bob"]),
    ),
    max_size=40,
)


@given(steps)
@settings(max_examples=150)
def test_the_overlay_equals_a_plain_dict(script: list[tuple[str, int, str | None]]) -> None:
    """After any steps, rows, order, length and index lookups are those of a plain dict."""
    database, overlay, tasks = make()
    committed: dict[int, Task] = {}
    model: dict[int, Task] = {}
    for act, key, owner in script:
        if act == "insert" and key not in model:
            model[key] = tasks.insert(Task(id=key, owner=owner))
        elif act == "update" and key in model:
            model[key] = tasks.update(model[key], owner=owner)
        elif act == "upsert":
            model[key] = tasks.upsert(Task(id=key, owner=owner, done=True))
        elif act == "delete":
            assert tasks.delete(key) == (model.pop(key, None) is not None)
        elif act == "commit":
            commit(database, overlay)
            committed = dict(model)
        elif act == "clear":
            overlay.clear()
            model = dict(committed)
        in_order = [model[each] for each in sorted(model)]
        assert list(tasks) == in_order
        assert len(tasks) == len(model)
        for each in (None, "ada", "bob"):
            assert tasks.find(owner=each) == [row for row in in_order if row.owner == each]
    commit(database, overlay)
    table = database.tables[TableId(1)]
    assert {key: table.codec.decode(row) for key, row in table.rows.items()} == model


class Sample(Table):
    """A column of every type that has a short way through an update, and some that have none."""

    id: int = column(primary_key=True)
    number: int = 0
    text: str = ""
    data: bytes = b""
    flag: bool = False
    note: str | None = None
    share: float = 0.0


class Loud(str):
    """A str that is not just a str."""

    __slots__ = ()


BOUNDARIES = [2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, True, IntEnum("Number", ["ONE"])(1), -0.0, float("nan")]
VALUES = st.one_of(
    st.sampled_from([*BOUNDARIES, "\ud800", Loud("x"), bytearray(b"x"), None, (), object()]),
    st.integers(-(2**65), 2**65),
    st.text(),
    st.binary(),
    st.floats(),
)


@settings(max_examples=300)
@given(st.sampled_from([name for name in Sample.__struct_fields__ if name != "id"]), st.lists(VALUES, max_size=3))
def test_an_update_stores_what_a_replay_would_read(name: str, values: list[Any]) -> None:
    """Whatever value comes, and however often: the row, the classes of its values, and what is refused."""
    planned = msgspec.structs.replace(Sample.__table__, id=TableId(1))
    codec = RowCodec(planned, Sample)
    database = Database(lambda _: codec)
    database.adopt(Schema(version=SchemaVersion(1), tables=(planned,)))
    overlay = Overlay(database)
    samples = overlay.view(Sample)
    committed, before = codec.canonical(Sample(id=1))
    database.tables[TableId(1)].rows[1] = before
    row = samples.get(1)
    for value in values:
        try:
            expected = codec.canonical(msgspec.structs.replace(committed, **{name: value}))
        except ConstraintViolation:
            with pytest.raises(ConstraintViolation):
                samples.update(row, **{name: value})
            continue
        row = samples.update(row, **{name: value})
        shown = msgspec.structs.astuple(row)
        assert (shown, [*map(type, shown)]) == (
            msgspec.structs.astuple(expected[0]),
            [*map(type, msgspec.structs.astuple(expected[0]))],
        )
        assert samples.get(1) is row
        after = [write[4] for write in overlay.write_set()]
        assert after == ([] if expected[1] == before else [expected[1]])


def test_the_fingerprint_does_not_depend_on_the_order_of_writes() -> None:
    """Two databases with the same rows have one fingerprint; another row, another one."""
    prints = []
    for order in ((1, 2, 3), (3, 1, 2)):
        database, overlay, tasks = make()
        for key in order:
            tasks.insert(Task(id=key, owner=str(key)))
            commit(database, overlay)
        prints.append(database.fingerprint())
    assert prints[0] == prints[1]
    tasks.delete(1)
    commit(database, overlay)
    assert database.fingerprint() != prints[0]
