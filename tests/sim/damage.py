"""Damage: in what a crash would leave of the directory, bits are flipped and files cut or missing.

Laws: what opens then is what was logged, up to an offset that nothing proven lies behind; else it is refused. A salvage
brings out what was logged, and changes nothing in the directory that it reads.
"""

from typing import TYPE_CHECKING, Any

from store.codec import encode_transaction
from store.engine.engine import open_engine
from store.engine.replay import replay
from store.engine.state import State
from store.env.memory import MemoryDisk, NoDeadline, SeededEntropy
from store.env.world import World
from store.errors import CorruptionError, DirectoryError, NotRestorable
from store.ids import Offset
from store.log.survey import proven_end
from store.upkeep.salvage import salvage
from tests.engine.scenes import DOMAIN
from tests.sim import interaction as act
from tests.sim.observation import Ended, Salvaged
from tests.sim.settings import ENGINE, FOLDERS, LOG, PLENTY, SNAPSHOTS

if TYPE_CHECKING:
    from tests.sim.target import Target


def damage(store: "Target", what: act.Damage) -> None:
    """Do it to a disk of its own, and see what comes of it."""
    disk = store.disk.crash_keep_all()
    disk.set_capacity(PLENTY)
    names = [f"{folder}/{name}".lstrip("/") for folder in FOLDERS for name in disk.names(folder)]
    last = [name for name in names if name.startswith("log/") and name.endswith(".log")][-1:]
    proven = proven_end(disk)[0] if last else Offset(0)
    for time in range(min(what.times, len(names))):
        name = names.pop((what.file + 7 * time) % len(names))
        content = disk.content(name)
        if what.how == "flip" and content:
            disk.flip(name, what.place % (8 * len(content)))
        elif what.how == "cut" and content and name not in last:  # The open segment's end is a crash's to cut.
            disk.replace(name, content[: what.place % len(content)])
        elif what.how == "remove" and name not in last:
            disk.remove(name)
    try:
        if what.then == "open":
            _open(store, disk, proven)
        else:
            _salvage(store, disk)
    except (CorruptionError, DirectoryError, NotRestorable) as error:
        store.observe(Ended(f"{what.then} after {what.how}", f"{type(error).__name__}"))


def _open(store: "Target", disk: MemoryDisk, proven: Offset) -> None:
    """It opens, with all that is proven, or it is refused."""
    world = World(disk, store.clock, SeededEntropy(int.from_bytes(store.entropy.bytes(8))), NoDeadline())
    engine = open_engine(world, DOMAIN, options=ENGINE, log_options=LOG)
    history, before = store.with_log_of(disk), engine.report.last_offset
    assert history[:before] == store.history[:before]
    store.compare("opened damage", engine.state, history, proven, Offset(PLENTY))
    engine.close()


def _salvage(store: "Target", disk: MemoryDisk) -> None:
    """What comes out was there."""
    before = {name: disk.content(name) for folder in FOLDERS for name in _names(disk, folder)}
    into = MemoryDisk(capacity=PLENTY, filesystem=9)
    report = salvage(
        disk, into, clock=store.clock, entropy=SeededEntropy(int.from_bytes(store.entropy.bytes(8))), options=SNAPSHOTS
    )
    assert {name: disk.content(name) for folder in FOLDERS for name in _names(disk, folder)} == before
    state = replay(into.copy(), ahead=True).state
    assert state.last_offset == report.offset
    if not report.partial:
        what = "salvaged without answers" if report.lost_answers else "salvaged"
        store.compare(what, state, store.history[: report.offset], Offset(1), report.offset)
        return
    whole = State({})
    for each in store.history[: report.offset]:
        whole.absorb(each, encode_transaction(each))
    store.observe(Salvaged(_rows(state), store.epoch, report.offset, _rows(whole)))


def _names(disk: MemoryDisk, folder: str) -> list[str]:
    return [f"{folder}/{name}".lstrip("/") for name in disk.names(folder)]


def _rows(state: State) -> dict[str, dict[Any, bytes]]:
    return {table.schema.name: dict(table.rows) for table in state.database.tables.values()}
