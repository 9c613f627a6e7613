"""Any workload, with crashes anywhere: the rows are those of a plain model."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import CallError
from store.testing import Store
from tests.canonical import canonical, check_indexes
from tests.engine import shop

OWNERS = st.sampled_from(["ada", "bob", "eve"])
NUMBERS = st.integers(1, 8)
SLUGS = st.sampled_from([None, "a", "b", "c"])
calls = st.one_of(
    st.tuples(st.just("add"), OWNERS, SLUGS),
    st.tuples(st.just("give"), NUMBERS, OWNERS),
    st.tuples(st.just("remove"), NUMBERS),
    st.tuples(st.just("put"), OWNERS, st.binary(max_size=3)),
    st.tuples(st.just("fail"), st.sampled_from(["refuse", "raise", "violate"])),
    st.just(("crash",)),
)


class Model:
    """What the shop's reducers do, said once more with plain dicts."""

    def __init__(self) -> None:
        self.tasks: dict[int, tuple[str, str | None]] = {}
        self.notes: dict[str, bytes] = {}
        self.last_key = 0

    def call(self, name: str, *args: Any) -> Any:
        """The reducer's return value, or the code of its failure."""
        if name == "fail":
            return {"refuse": "refused", "raise": "reducer_failed", "violate": "constraint_violation"}[args[0]]
        return getattr(self, name)(*args)

    def add(self, owner: str, slug: str | None) -> Any:
        """A slug is unique."""
        if slug is not None and slug in {each for _, each in self.tasks.values()}:
            return "constraint_violation"
        self.last_key += 1
        self.tasks[self.last_key] = (owner, slug)
        return self.last_key

    def give(self, task: int, owner: str) -> Any:
        """A task must be there."""
        if task not in self.tasks:
            return "refused"
        self.tasks[task] = (owner, self.tasks[task][1])
        return None

    def remove(self, task: int) -> Any:
        """Whether it was there."""
        return self.tasks.pop(task, None) is not None

    def put(self, key: str, body: bytes) -> Any:
        """Insert or replace."""
        self.notes[key] = body


def outcome(store: Store, name: str, *args: Any) -> Any:
    """What a call returns, or the code of its failure."""
    try:
        return store.call(name, *args)
    except CallError as error:
        return error.code


@given(st.lists(calls, max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_workload_with_crashes_equals_its_model(script: list[tuple[Any, ...]]) -> None:
    """Answers, rows, indexes; live and after every crash, where nothing but the start's own record is new."""
    store, model = Store.in_memory(shop), Model()
    for name, *args in script:
        if name == "crash":
            before = canonical(store.engine.state)
            store = store.crash()
            after = canonical(store.engine.state)
            assert {key for key in after if after[key] != before[key]} == {"last offset", "last timestamp"}
            continue
        assert outcome(store, name, *args) == model.call(name, *args)
        assert {task.id: (task.owner, task.slug) for task in store.rows(shop.Task)} == model.tasks
        assert {note.key: note.body for note in store.rows(shop.Note)} == model.notes
    for table in store.engine.database.tables.values():
        check_indexes(table)
