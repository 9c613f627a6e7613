"""What should be: the domain's rules in plain dicts, and every call in the order in which it happened.

Laws: one picture of the tables for each call, so that any offset of any epoch can be asked about. A crash takes the
last calls away; a new epoch begins with the pictures it shares with the one before.
"""

from bisect import bisect_right
from typing import Any, Final, NamedTuple

import msgspec

from store.ids import Offset
from tests.sim.observation import Reply, Sent
from tests.sim.queries import Asked, Rows

FAILURES = {
    "refuse": "refused",
    "raise": "reducer_failed",
    "violate": "constraint_violation",
    "exit": "reducer_failed",
}


class Picture(NamedTuple):
    """The tables right behind one call, and which row it wrote, if any."""

    offset: Offset
    rows: Rows
    last_key: int
    written: tuple[str, Any] | None


NOTHING: Final = Picture(Offset(0), {"task": {}, "note": {}}, 0, None)


class Model:
    """The oracle."""

    def __init__(self) -> None:
        self.epoch = ""
        self.history: list[tuple[Sent, Reply]] = []
        self.pictures = [NOTHING]
        """The first is of no call; then one for each in `history`."""
        self._replies: dict[int, Reply] = {}
        self._past: dict[str, list[Picture]] = {}

    @property
    def now(self) -> Picture:
        """The tables behind the last call."""
        return self.pictures[-1]

    def find(self, sent: Sent) -> Reply | None:
        """The reply to this very call, if it has happened."""
        return self._replies.get(sent.number)

    def run(self, sent: Sent, reply: Reply) -> tuple[str, Any]:
        """Let a new call happen: the outcome it should have, and the value, None for a failure."""
        self.history.append((sent, reply))
        self._replies[sent.number] = reply
        before = self.now
        rows = {table: dict(each) for table, each in before.rows.items()}
        outcome, value, written = _apply(sent, reply, rows, before.last_key + 1)
        last_key = value if sent.name == "add" and not outcome else before.last_key
        self.pictures.append(Picture(reply.offset, rows, last_key, written))
        return outcome, value

    def go_back(self, count: int) -> None:
        """Keep only so many of the calls, as a crash or a restore may."""
        for sent, _ in self.history[count:]:
            del self._replies[sent.number]
        self.history = self.history[:count]
        self.pictures = self.pictures[: count + 1]

    def enter(self, epoch: str) -> None:
        """From here on this epoch is written; what was before stays as it was, for who still speaks of it."""
        if epoch != self.epoch:
            self._past[self.epoch] = list(self.pictures)
            self.epoch = epoch

    def encoded(self) -> dict[str, dict[Any, bytes]]:
        """Every table's rows as the store keeps them."""
        encode = msgspec.msgpack.encode
        return {table: {key: encode(row) for key, row in rows.items()} for table, rows in self.now.rows.items()}

    def query(self, asked: Asked, epoch: str, offset: Offset) -> dict[Any, tuple[Any, ...]]:
        """The rows a query has at an offset of an epoch."""
        pictures = self._of(epoch)
        return asked.select(pictures[bisect_right(pictures, offset, key=lambda each: each.offset) - 1].rows)

    def deltas(self, asked: Asked, epoch: str, after: Offset, through: Offset) -> tuple[list[Offset], list[Offset]]:
        """Of the offsets in between: those that changed a query; and these with those that wrote a whole row as it was.

        The first are told, the others may be.
        """
        pictures = self._of(epoch)
        first = bisect_right(pictures, after, key=lambda each: each.offset)
        changed, touched = [], []
        for before, each in zip(pictures[first - 1 :], pictures[first:], strict=False):
            if each.offset > through:
                break
            was, becomes = asked.select(before.rows), asked.select(each.rows)
            if was != becomes:
                changed.append(each.offset)
            wrote = each.written and each.written[0] == asked.table and each.written[1] in was.keys() | becomes.keys()
            if was != becomes or (wrote and not asked.shape):
                touched.append(each.offset)
        return changed, touched

    def _of(self, epoch: str) -> list[Picture]:
        return self.pictures if epoch == self.epoch else self._past[epoch]


def _apply(  # noqa: PLR0911  # One reducer after the other.
    sent: Sent, reply: Reply, rows: Rows, next_key: int
) -> tuple[str, Any, tuple[str, Any] | None]:
    """(outcome, value, which row was written)."""
    args, tasks, notes = sent.args, rows["task"], rows["note"]
    if sent.name == "add":
        owner, slug, note = args
        if slug is not None and any(each[2] == slug for each in tasks.values()):
            return "constraint_violation", None, None
        tasks[next_key] = (next_key, owner, slug, note)
        return "", next_key, ("task", next_key)
    if sent.name == "give":
        task, owner = args
        if task not in tasks:
            return "refused", None, None
        tasks[task] = (task, owner, *tasks[task][2:])
        return "", None, ("task", task)
    if sent.name == "remove":
        return "", tasks.pop(args[0], None) is not None, ("task", args[0])
    if sent.name == "put":
        notes[args[0]] = (args[0], args[1])
        return "", None, ("note", args[0])
    if sent.name == "roll":  # What the dice show, only the store can say.
        thrown = msgspec.msgpack.decode(reply.value)
        notes["throw"] = ("throw", str(thrown).encode())
        return "", thrown, ("note", "throw")
    return FAILURES[args[0]], None, None
