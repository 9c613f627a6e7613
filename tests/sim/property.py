"""The guarantees, each as a property of what was observed. A violation ends the history.

Laws: a property looks at observations and the model, never into the store.
"""

from typing import Final

import msgspec

from store.codec import encode_transaction
from store.engine.state import State
from store.env.memory import MemoryDisk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Timestamp
from store.log.commitlog import Commitlog
from store.log.reader import LogReader
from store.transaction import Kind, Transaction
from tests.canonical import canonical
from tests.sim.model import Model
from tests.sim.observation import Applied, Observation, Ran, Recovered, Reply, Told, WasRead

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
        self._told: dict[Offset, Reply] = {}

    def observe(self, seen: Observation) -> None:
        """Remember what was told; look for it after a recovery."""
        if isinstance(seen, Told) and seen.reply is not None:
            self._told[seen.reply.offset] = seen.reply
        elif isinstance(seen, Recovered):
            there = {each.offset: Reply(each.offset, each.outcome, each.value) for each in seen.transactions}
            for offset, reply in self._told.items():
                self.hold(there.get(offset) == reply, f"offset {offset} was told, and is {there.get(offset)}")


class Whole(Property):
    """2: the rows are those of the model after a whole number of its calls; live and after a recovery."""

    name = "whole"

    def observe(self, seen: Observation) -> None:
        """Compare rows; after a recovery bring the model back to what survived."""
        if isinstance(seen, WasRead):
            self.hold(seen.rows == self.model.rows(), f"expected {self.model.rows()}, read {seen.rows}")
        if isinstance(seen, Recovered):
            calls = [Reply(each.offset, each.outcome, each.value) for each in seen.transactions if each.kind in CALLS]
            happened = [reply for _, reply in self.model.history]
            self.hold(calls == happened[: len(calls)], "the log's calls are not the first of those that happened")
            self.model.go_back(len(calls))
            rows = {name: table["rows"] for name, table in seen.state["tables"].items() if name != "thing"}
            self.hold(rows == self.model.rows(), f"expected {self.model.rows()}, recovered {rows}")


class Same(Property):
    """3: the recovered state is the one that replaying the log from zero makes, to the last index entry."""

    name = "same"

    def observe(self, seen: Observation) -> None:
        """Replay apart from the engine, without its authors' classes."""
        if isinstance(seen, Recovered):
            state = State({})
            for each in seen.transactions:
                state.absorb(each, encode_transaction(each))
            replayed = canonical(state)
            differing = [name for name, each in replayed.items() if seen.state[name] != each]
            self.hold(not differing, f"recovered and replayed state differ in {differing}")


class InOrder(Property):
    """4: offsets have no gaps and timestamps rise, for whoever follows and for whoever reads the log."""

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
        if isinstance(seen, Told):
            self.hold(
                seen.rests_on <= seen.survives, f"told what rests on {seen.rests_on}, {seen.survives} would survive"
            )


class Once(Property):
    """A call has one answer: the model's where it is new, the first one where it is a retry."""

    name = "once"

    def observe(self, seen: Observation) -> None:
        """Let the model run what is new."""
        if not isinstance(seen, Ran):
            return
        first = self.model.find(seen.sent)
        if first is not None:
            self.hold(seen.reply == first, f"#{seen.sent.number} was {first}, and again {seen.reply}")
            return
        outcome, value = self.model.run(seen.sent, seen.reply)
        self.hold(seen.reply.outcome == outcome, f"expected outcome {outcome!r}, found {seen.reply.outcome!r}")
        if not outcome:
            found = msgspec.msgpack.decode(seen.reply.value)
            self.hold(found == value, f"expected {value}, found {found}")


class Honest(Property):
    """7: a flipped bit is refused as corruption, or cuts only what nothing vouched for; it is never read as data."""

    name = "honest"

    def observe(self, seen: Observation) -> None:
        """Damage a copy of the directory, at a place that its content decides."""
        if not isinstance(seen, Recovered) or not Commitlog.exists(seen.disk):
            return
        disk = seen.disk
        proven, before = _read(disk)
        names = [each for each in disk.names("log") if each.endswith(".log")]
        name = f"log/{names[-1 if len(before) % 3 else len(before) % len(names)]}"
        bits = 8 * len(disk.content(name))
        at = (len(before) * 7_919 + bits * 104_729) % bits
        disk.flip(name, at)
        try:
            _, after = _read(disk)
        except (CorruptionError, DirectoryError):
            return
        self.hold(after == before[: len(after)], f"bit {at} of {name} was read as data")
        self.hold(len(after) >= proven, f"bit {at} of {name} took offset {proven}, which was vouched for")


def _read(disk: MemoryDisk) -> tuple[int, list[bytes]]:
    """(the highest offset that the log vouches for, for each offset the body of its batch)."""
    reader = LogReader(disk)
    bodies = [batch.body for batch in reader for _ in range(batch.count)]
    assert reader.tail is not None
    return reader.tail.proven_offset, bodies


def all_properties(model: Model) -> list[Property]:
    """One of each; Once comes after those that look at the model as it was."""
    return [each(model) for each in (Kept, Whole, Same, InOrder, DurableBeforeVisible, Honest, Once)]
