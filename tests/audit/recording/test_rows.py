"""What waits in the ledger: one commit a step, never back, and nothing that is not understood."""

import pytest

from store.audit.objects.merkle import NOTHING
from store.audit.recording.rows import LET_GO_MAX, Rows, State, row_of
from store.env.ledger import LedgerDamaged, LedgerFull
from store.env.ledger_memory import MemoryLedger
from store.errors import ConfigError
from store.ids import Timestamp
from tests.audit.scenes import LOG, NOON, frozen, manifest_of
from tests.audit.shipping_scene import Scene


def rows_of(ledger: MemoryLedger, count: int) -> Rows:
    """So many frozen batches."""
    rows, tree = Rows(ledger, LOG), NOTHING
    for number in range(count):
        made = frozen(number, before=tree)
        rows.freeze(made, b"trail %d" % number, at=NOON)
        tree = made.after
    return rows


def test_what_is_frozen_is_there_after_a_crash() -> None:
    """Row, bytes, and where the trail goes on: one commit."""
    ledger = MemoryLedger()
    rows_of(ledger, 2)
    assert ledger.commits == 3
    rows = Rows(ledger.crash(), LOG)
    batch = frozen(0)
    assert rows.frozen(next(iter(rows))) == batch
    assert rows.trail == b"trail 1"
    assert rows.newest is not None
    assert (rows.newest.batch, rows.newest.first, rows.newest.epoch) == (1, 3, batch.ranges[0][0])


def test_what_goes_with_a_batch_is_there_with_it() -> None:
    """Of the same commit; the context is read by its names."""
    ledger = MemoryLedger()
    rows = Rows(ledger, LOG)
    rows.freeze(
        frozen(0), b"trail", at=NOON, more={b"context/identity/1": b"a", b"context/tables": b"b", b"told": b"c"}
    )
    rows.freeze(frozen(1, before=frozen(0).after), b"trail", at=NOON, more={b"context/tables": b"d"})
    rows = Rows(ledger.crash(), LOG)
    assert rows.context == {b"identity/1": b"a", b"tables": b"d"}
    assert (ledger.get(b"told"), ledger.commits) == (b"c", 3)


def test_a_new_ledger_has_no_rows() -> None:
    """Nor says where a trail goes on."""
    rows = Rows(MemoryLedger(), LOG)
    assert (list(rows), rows.newest, rows.trail, rows.waiting, rows.checkpoint) == ([], None, None, None, None)
    assert set(rows.counts().values()) == {0}


def test_batches_follow_each_other() -> None:
    """Nobody but a bug freezes one that does not."""
    rows = rows_of(MemoryLedger(), 1)
    with pytest.raises(AssertionError):
        rows.freeze(frozen(2, before=frozen(0).after), b"", at=NOON)


def test_a_full_ledger_takes_no_batch_and_no_harm() -> None:
    """What is there goes on its way, and makes room."""
    scene = Scene(size_max=6_000)
    with pytest.raises(LedgerFull):
        scene.freeze(100)
    count = len(scene.frozen)
    assert 3 < count < 50
    assert [row.batch for row in scene.rows] == list(range(count))
    scene.ship()
    scene.clock.advance(1)
    scene.step()
    scene.freeze(2).ship().check()


def test_a_step_changes_the_row_and_its_manifest_at_once() -> None:
    """STORED without a manifest is never seen."""
    ledger = MemoryLedger()
    rows = rows_of(ledger, 1)
    row = next(iter(rows))
    manifest = manifest_of(frozen(0))
    before = ledger.commits
    rows.stored(row, version_id="v1", retain_until=NOON, manifest=manifest.encode(), digest=manifest.digest)
    assert ledger.commits == before + 1
    again = Rows(ledger.crash(), LOG)
    [row] = again
    assert (row.state, row.version_id, row.manifest_digest) == (State.STORED, "v1", manifest.digest)
    assert again.manifest(row) == manifest.encode()


def test_states_are_counted_and_found() -> None:
    """Wherever the borders between them lie."""
    scene = Scene().freeze(3)
    scene.step()
    scene.step()
    scene.step()
    assert scene.states() == [State.MANIFESTED, State.STORED, State.FROZEN]
    counts = scene.rows.counts()
    assert [counts[state] for state in State] == [1, 1, 1, 0, 0]
    found = [scene.rows.first_in(state) for state in State]
    assert [row.batch if row else None for row in found] == [2, 1, 0, None, None]
    assert scene.rows.waiting is not None
    assert scene.rows.waiting.batch == 0
    for state in State:
        assert [row.state for row in scene.rows.all_in(state)] == [state] * counts[state]


def test_what_is_done_goes_a_few_at_a_time() -> None:
    """A commit has a bound; the newest row stays."""
    scene = Scene().freeze(LET_GO_MAX + 5).ship()
    later = Timestamp(scene.clock.wall() + 1)
    assert [scene.rows.let_go(before=later) for _ in range(3)] == [LET_GO_MAX, 4, 0]
    assert [row.batch for row in scene.rows] == [LET_GO_MAX + 4]
    assert [row.batch for row in Rows(scene.ledger.crash(), LOG)] == [LET_GO_MAX + 4]


def test_what_the_next_manifest_names_stays() -> None:
    """A row that is done goes once the one behind it is done, too."""
    scene = Scene().freeze(2).ship().freeze(1)
    later = Timestamp(scene.clock.wall() + 1)
    assert scene.rows.let_go(before=later) == 1
    assert [(row.batch, row.state) for row in scene.rows] == [(1, State.ACKED), (2, State.FROZEN)]
    scene.crash()
    scene.ship().check()


def test_what_is_not_done_never_goes() -> None:
    """However old it is."""
    rows = rows_of(MemoryLedger(), 3)
    assert rows.let_go(before=Timestamp(2**62)) == 0
    assert len(list(rows)) == 3


def test_another_trails_ledger_is_refused() -> None:
    """With both names."""
    ledger = MemoryLedger()
    rows_of(ledger, 1)
    with pytest.raises(ConfigError, match=f"{LOG}, not of {'ab' * 16}"):
        Rows(ledger.crash(), "ab" * 16)


@pytest.mark.parametrize("damage", [b"", b"\x80", b"\xff" * 10, None])
@pytest.mark.parametrize("key", [b"row/000000000001", b"batch/000000000001", b"checkpoint"])
def test_a_ledger_that_makes_no_sense_is_said(key: bytes, damage: bytes | None) -> None:
    """With the command that makes it anew."""
    scene = Scene().freeze(3)
    for _ in range(3):
        scene.step()
    if damage is None and key == b"checkpoint":
        return
    scene.ledger.commit({key: damage})
    scene.crash_at = None
    with pytest.raises(LedgerDamaged, match="store audit rebuild"):
        read_all(scene)


def read_all(scene: Scene) -> None:
    """Everything that a shipper would read."""
    rows = Rows(scene.ledger.crash(), LOG)
    assert rows.checkpoint is None
    for row in rows:
        rows.frozen(row)


def test_a_missing_manifest_is_said() -> None:
    """By the number of its batch; a missing row before one, too."""
    rows = rows_of(MemoryLedger(), 1)
    [row] = rows
    with pytest.raises(LedgerDamaged, match="batch 0"):
        rows.manifest(row)
    assert rows.before(row) is None
    alone = Rows(MemoryLedger(), LOG)
    fourth = frozen(3, before=frozen(0).after)
    alone.begin([(row_of(fourth, at=NOON), fourth, b"")], b"")
    [row] = alone
    with pytest.raises(LedgerDamaged, match="before batch 3"):
        alone.before(row)
