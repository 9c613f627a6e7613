"""The guarantees of the design's section 2, each as a property of what was observed. A violation ends the history.

Laws: a property looks at observations and the model, never into the store.
"""

from typing import Any, Final

import msgspec

from store.codec import encode_transaction
from store.engine.state import BEGINS_STORE, EpochRecord, State
from store.env.memory import MemoryDisk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Timestamp
from store.log.commitlog import Commitlog
from store.log.reader import LogReader
from store.log.survey import runs, segments
from store.subscribe.messages import CLOSE_TOO_SLOW, FOREIGN_EPOCH, FUTURE
from store.transaction import Kind, Transaction
from tests.canonical import canonical
from tests.sim.model import Model
from tests.sim.observation import (
    Answered,
    Applied,
    Cloned,
    CutOff,
    Drilled,
    Elsewhere,
    Fetched,
    Greeted,
    Heard,
    Observation,
    PrunedAway,
    Ran,
    Recovered,
    Reply,
    Resumed,
    Salvaged,
    SentAnew,
    Told,
    Transmitted,
    Viewed,
    WasRead,
)

CALLS: Final = frozenset({int(Kind.CALL), int(Kind.FAILED_CALL)})


class Violation(Exception):
    """A guarantee does not hold: which, and how."""

    def __init__(self, property_name: str, what: str) -> None:
        super().__init__(f"{property_name}: {what}")


class Property:
    """Something that holds for every history."""

    name = ""

    def __init__(self, model: Model) -> None:
        self.model = model

    def observe(self, seen: Observation) -> None:
        """Look at one observation, before the model does."""
        raise NotImplementedError

    def hold(self, holds: bool, what: str) -> None:  # noqa: FBT001  # It reads as a sentence.
        """Raise a Violation where it does not."""
        if not holds:
            raise Violation(self.name, what)


class Kept(Property):
    """1: every answer that was told is in the log after any crash, as it was told."""

    name = "kept"

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._told: dict[Offset, tuple[str, bytes | None]] = {}
        self._epochs: set[str] = set()

    def observe(self, seen: Observation) -> None:
        """Remember what was told; look for it after a recovery, and for what was durable wherever else the store is."""
        if isinstance(seen, Recovered):
            self._check_fork(seen)
        if isinstance(seen, Elsewhere):
            self.hold(seen.least <= seen.offset, f"{seen.what} is at {seen.offset}, {seen.least} was durable")
            self.hold(seen.offset <= seen.most, f"{seen.what} is at {seen.offset}, {seen.most} is the most there was")
        elif isinstance(seen, PrunedAway):
            self._check_promise(seen)
        elif isinstance(seen, Told) and seen.reply is not None:
            self._told[seen.reply.offset] = seen.reply.outcome, None if seen.reply.outcome else seen.reply.value
        elif isinstance(seen, Answered) and seen.epoch == self.model.epoch:
            self._told[seen.offset] = seen.outcome, seen.value
        elif isinstance(seen, Recovered):
            there = {each.offset: (each.outcome, None if each.outcome else each.value) for each in seen.transactions}
            for offset, told in self._told.items():
                self.hold(there.get(offset) == told, f"offset {offset} was told {told}, and is {there.get(offset)}")

    def _check_fork(self, seen: Recovered) -> None:
        """A directory made from another one opens an epoch that nobody has seen, right behind where it was made."""
        if seen.forked is not None:
            self.hold(seen.epoch not in self._epochs, f"the epoch {seen.epoch} is in force again")
            first = seen.transactions[seen.forked] if seen.forked < len(seen.transactions) else None
            self.hold(first is not None and first.kind == Kind.EPOCH, f"expected an epoch to open, found {first}")
        if seen.went_back:
            self._told = {offset: told for offset, told in self._told.items() if offset <= (seen.forked or 0)}
        self._epochs.add(seen.epoch)

    def _check_promise(self, seen: PrunedAway) -> None:
        """What was restorable and is within the window is restorable still; the two newest snapshots stay."""
        for each in seen.before:
            if each.last_time >= seen.promised:
                around = [it for it in seen.after if it.first <= each.last <= it.last]
                self.hold(bool(around), f"{each} is not restorable any more")
                early = max(each.first_time, seen.promised)
                self.hold(
                    around[0].first_time <= early or around[0].first <= each.first, f"of {each} {around[0]} is left"
                )
        for offset in seen.pinned:
            was = any(each.first <= offset <= each.last for each in seen.before)
            left = any(each.first <= offset <= each.last for each in seen.after)
            self.hold(left or not was, f"offset {offset} is pinned, and is not restorable any more")
        gone = set(seen.newest) - set(seen.left)
        self.hold(not gone, f"of the two newest verified snapshots {gone} went")


class Whole(Property):
    """2: the rows are those of the model after a whole number of its calls; live and after a recovery."""

    name = "whole"

    def observe(self, seen: Observation) -> None:
        """Compare rows; after a recovery bring the model back to what survived."""
        if isinstance(seen, WasRead):
            self.hold(seen.rows == self.model.encoded(), f"expected {self.model.encoded()}, read {seen.rows}")
        if isinstance(seen, Recovered):
            calls = [Reply(each.offset, each.outcome, each.value) for each in seen.transactions if each.kind in CALLS]
            happened = [reply for _, reply in self.model.history]
            self.hold(calls == happened[: len(calls)], "the log's calls are not the first of those that happened")
            self.model.enter(seen.epoch)
            self.model.go_back(len(calls))
            rows = {name: table["rows"] for name, table in seen.state["tables"].items() if name != "thing"}
            self.hold(rows == self.model.encoded(), f"expected {self.model.encoded()}, recovered {rows}")


class Same(Property):
    """3: the recovered state is the one that replaying the log from zero makes, to the last index entry."""

    name = "same"

    def observe(self, seen: Observation) -> None:
        """Replay apart from the engine, without its authors' classes."""
        if isinstance(seen, Recovered):
            self._compare("the recovered", seen.state, seen.transactions, seen.births)
        elif isinstance(seen, Elsewhere):
            self._compare(seen.what, seen.state, seen.history, seen.births)
        elif isinstance(seen, Drilled):
            self.hold(seen.live == seen.replayed, f"live {seen.live}, replayed {seen.replayed} at {seen.offset}")

    def _compare(
        self, what: str, found: dict[str, Any], history: list[Transaction], births: tuple[EpochRecord, ...]
    ) -> None:
        state = State({})
        for number, each in enumerate([*history, None], start=1):
            state.epochs.extend(born for born in births if born.first_offset == number)
            if each is not None:
                state.absorb(each, encode_transaction(each))
        replayed = canonical(state)
        differing = [name for name, each in replayed.items() if found[name] != each]
        self.hold(not differing, f"{what} state and the one replayed from zero differ in {differing}")


class Apart(Property):
    """A clone is another store: its name is one that nobody had, and its history begins right behind the moment."""

    name = "apart"

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._known: set[str] = set()

    def observe(self, seen: Observation) -> None:
        """Remember all names; compare a new one's birth with the moment."""
        if isinstance(seen, Recovered):
            self._known.add(seen.epoch)
        elif isinstance(seen, Cloned):
            born = seen.born
            self.hold(born.reason == BEGINS_STORE, f"no store begins at {seen.offset}, the newest epoch is {born}")
            self.hold(seen.store == born.epoch.hex(), f"the directory goes by {seen.store}, not by {born}")
            self.hold(seen.store not in self._known, f"the name {seen.store} is another store's, or an epoch's")
            self.hold(born.first_offset == seen.offset + 1, f"{born} is not right behind {seen.offset}")
            self.hold(born.parent.hex() == seen.epoch, f"{born} comes from another epoch than {seen.epoch}")
            self._known.add(seen.store)


class InOrder(Property):
    """4: offsets have no gaps and timestamps rise, for whoever follows and whoever reads the log.

    An agent is told of each transaction that changed its query, once, in order, across all connections; and of its own
    call's change before it has its answer.
    """

    name = "in order"

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._last = Offset(0)
        self._moment = Timestamp(0)

    def observe(self, seen: Observation) -> None:
        """Count with the log."""
        if isinstance(seen, Applied):
            self._follow(seen.transaction)
        elif isinstance(seen, Recovered):
            self._last, self._moment = Offset(0), Timestamp(0)
            for each in seen.transactions:
                self._follow(each)
        elif isinstance(seen, Viewed):
            self._check_deltas(seen)
        elif isinstance(seen, Heard):
            self.hold(seen.offset > seen.after, f"{seen.agent} heard of {seen.offset} after {seen.after}")
            early = seen.before is None or seen.offset < seen.before
            self.hold(early, f"{seen.agent} heard that it missed {seen.offset}, and live of {seen.before}")
        elif isinstance(seen, Answered):
            for query, reached in seen.reached:
                changed, _ = self.model.deltas(query, seen.epoch, reached, seen.offset)
                self.hold(seen.offset not in changed, f"{seen.agent} had its answer before the delta of {seen.offset}")

    def _check_deltas(self, seen: Viewed) -> None:
        if seen.since is None:
            self.hold(not seen.deltas or seen.offset >= seen.deltas[-1], f"{seen.agent} is behind its own delta")
            return
        changed, touched = self.model.deltas(seen.query, seen.epoch, seen.since, seen.offset)
        if seen.caught_up:  # All that was missed is the first of these, or came to nothing.
            first = seen.deltas[0] if seen.deltas else seen.offset
            changed = [each for each in changed if each > first]
            touched = [first, *touched]
        what = f"{seen.agent} at {seen.offset} was told of {seen.deltas} since {seen.since} for {seen.query}"
        self.hold(seen.offset >= seen.since, f"{what}: it went back")
        self.hold(set(changed) <= set(seen.deltas), f"{what}, expected {changed}")
        self.hold(set(seen.deltas) <= set(touched), f"{what}, expected no more than {touched}")
        self.hold(list(seen.deltas) == sorted(set(seen.deltas)), f"{what}, not each once and in order")

    def _follow(self, transaction: Transaction) -> None:
        offset, moment = transaction.offset, transaction.timestamp
        self.hold(offset == self._last + 1, f"expected offset {self._last + 1}, found {offset}")
        self.hold(moment > self._moment, f"offset {offset} is of {moment}, after {self._moment}")
        self._last, self._moment = offset, moment


class DurableBeforeVisible(Property):
    """5: whatever a client is told rests on nothing that a power loss could take."""

    name = "durable before visible"

    def observe(self, seen: Observation) -> None:
        """Compare with what would survive."""
        if isinstance(seen, Told | Transmitted):
            self.hold(
                seen.rests_on <= seen.survives, f"told what rests on {seen.rests_on}, {seen.survives} would survive"
            )


class InStep(Property):
    """6: what an agent has of a query is that query over the tables at its offset; so is what it reads once."""

    name = "in step"

    def observe(self, seen: Observation) -> None:
        """Ask the model for the rows at that offset of that epoch."""
        if isinstance(seen, Viewed):
            expected = self.model.query(seen.query, seen.epoch, seen.offset)
            self.hold(
                seen.rows == expected,
                f"{seen.agent} has of {seen.query} at {seen.offset} {seen.rows}, expected {expected}",
            )
        elif isinstance(seen, Fetched):
            expected = self.model.query(seen.query, seen.epoch, seen.offset)
            rows = [expected[key] for key in (expected if seen.query.shape == "first" else sorted(expected))]
            said = sorted(seen.rows) if seen.query.shape == "groups" else seen.rows
            self.hold(said == rows, f"{seen.agent} read {seen.query} {seen.rows}, expected {rows}")
            self.hold(seen.offset >= seen.heard, f"{seen.agent} read at {seen.offset}, after it heard of {seen.heard}")
        elif isinstance(seen, Resumed):
            self.hold(seen.rows_of == seen.epoch, f"{seen.agent} goes on in {seen.epoch} with rows of {seen.rows_of}")
        elif isinstance(seen, SentAnew):
            what = f"{seen.agent} got rows anew in {seen.epoch}, having those of {seen.rows_of}: {seen.reason}"
            self.hold((seen.reason == FOREIGN_EPOCH) == (seen.rows_of != seen.epoch), what)
            self.hold(seen.reason not in {"", FUTURE}, what)  # What it was told is durable: it is never ahead.
        elif isinstance(seen, Greeted):
            differs = seen.before not in {"", seen.epoch}
            self.hold(seen.changed == differs, f"{seen.agent} was told changed={seen.changed} by {seen.epoch}")


class Honest(Property):
    """7: a flipped bit is refused as corruption, or cuts only what nothing vouched for; it is never read as data."""

    name = "honest"

    def observe(self, seen: Observation) -> None:
        """Damage a copy of the directory, at a place that its content decides."""
        if isinstance(seen, Salvaged):
            for table, rows in seen.rows.items():
                invented = rows.items() - seen.whole[table].items()
                self.hold(not invented, f"salvage at {seen.offset} made {invented} of {table}")
        if not isinstance(seen, Recovered) or not Commitlog.exists(seen.disk):
            return
        disk = seen.disk
        first = runs(segments(disk))[-1][0].first_offset
        proven, before = _read(disk, first)
        names = [each for each in disk.names("log") if each.endswith(".log")]
        name = f"log/{names[-1 if len(before) % 3 else len(before) % len(names)]}"
        bits = 8 * len(disk.content(name))
        at = (len(before) * 7_919 + bits * 104_729) % bits
        disk.flip(name, at)
        try:
            _, after = _read(disk, first)
        except (CorruptionError, DirectoryError):
            return
        self.hold(after == before[: len(after)], f"bit {at} of {name} was read as data")
        self.hold(first - 1 + len(after) >= proven, f"bit {at} of {name} took offset {proven}, which was vouched for")


class Bounded(Property):
    """9: no more waits for a client than its outbox may hold; who reads too slowly is cut off with the code for it."""

    name = "bounded"
    OVERHEAD: Final = 2_500 + 100
    """Bytes of a large delta, which is told to all at once before anybody is asked for room, and of frames."""

    def observe(self, seen: Observation) -> None:
        """Compare with the bound."""
        if isinstance(seen, Transmitted):
            self.hold(seen.waiting <= seen.bound + self.OVERHEAD, f"{seen.waiting} bytes wait, bound {seen.bound}")
        elif isinstance(seen, CutOff):
            self.hold(seen.code == CLOSE_TOO_SLOW, f"{seen.agent} was cut off with {seen.code}")


class Once(Property):
    """A call happens once and has one answer: the model's where it is new, the first one where it is a retry."""

    name = "once"

    def observe(self, seen: Observation) -> None:
        """Let the model run what is new."""
        if isinstance(seen, Applied) and seen.transaction.kind in CALLS:
            self._run(seen)
        elif isinstance(seen, Ran):
            first = self.model.find(seen.sent)
            self.hold(seen.reply == first, f"#{seen.sent.number} was {first}, and is answered {seen.reply}")
        elif isinstance(seen, Answered) and seen.epoch == self.model.epoch:
            first = self.model.find(seen.sent)
            self.hold(first is not None, f"#{seen.sent.number} was answered, and never ran")
            assert first is not None
            expected = (first.offset, first.outcome, None if first.outcome else first.value)
            found = (seen.offset, seen.outcome, seen.value)
            self.hold(found == expected, f"#{seen.sent.number} was {expected}, and is answered {found}")

    def _run(self, seen: Applied) -> None:
        transaction, sent = seen.transaction, seen.sent
        self.hold(sent is not None, f"nobody sent what happened at offset {transaction.offset}")
        assert sent is not None
        first = self.model.find(sent)
        self.hold(first is None, f"#{sent.number} was {first}, and ran again as {transaction.offset}")
        said = (transaction.reducer, msgspec.msgpack.decode(transaction.args)[: len(sent.args)])  # Behind: defaults.
        self.hold(said == (sent.name, list(sent.args)), f"#{sent.number} is logged as {said}")
        reply = Reply(transaction.offset, transaction.outcome, transaction.value)
        outcome, value = self.model.run(sent, reply)
        self.hold(reply.outcome == outcome, f"expected outcome {outcome!r}, found {reply.outcome!r}")
        if not outcome:
            found = msgspec.msgpack.decode(reply.value)
            self.hold(found == value, f"expected {value}, found {found}")


def _read(disk: MemoryDisk, first: Offset) -> tuple[int, list[bytes]]:
    """(the highest offset that the log vouches for, for each offset the body of its batch)."""
    reader = LogReader(disk, from_offset=first)
    bodies = [batch.body for batch in reader for _ in range(batch.count)]
    assert reader.tail is not None
    return reader.tail.proven_offset, bodies


def all_properties(model: Model) -> list[Property]:
    """One of each; Once comes after those that look at the model as it was."""
    kinds = (Kept, Whole, Same, Apart, InOrder, DurableBeforeVisible, InStep, Honest, Bounded, Once)
    return [each(model) for each in kinds]
