"""What the world outside a killed process was told, and what the tables must therefore hold.

Laws: an answer counts from the moment it was written. One call of each client may be in the tables without an answer:
the one it was waiting for. Which calls are there is read off the rows, and then every row has to agree.
"""

from collections.abc import Callable, Sequence

from reducers.accounts import Account
from store.engine.engine import Engine
from tests.crash.worker import OPENING_BALANCE, pair_of

CLIENTS = 4


class Oracle:
    """For each client, the offset of each answered call."""

    def __init__(self, *, pairs: int = 1, clients: int = CLIENTS) -> None:
        self.pairs = pairs
        self.offsets: list[dict[int, int]] = [{} for _ in range(clients)]
        self._dropped = [0] * clients

    @property
    def answered(self) -> tuple[int, ...]:
        """How many calls of each client are answered, without a gap."""
        return tuple(before + len(each) for before, each in zip(self._dropped, self.offsets, strict=True))

    def hear(self, line: bytes) -> None:
        """One answer: never another than the first to the same call."""
        client, sequence, offset = map(int, line.split())
        assert self.offsets[client].setdefault(sequence, offset) == offset
        assert sequence == self._dropped[client] + len(self.offsets[client])

    def hear_all(self, told: bytes) -> int:
        """The whole lines of all that a worker wrote; returns how many answers those were."""
        lines = [line for line in told[: told.rfind(b"\n") + 1].splitlines() if line != b"ready"]
        for line in lines:
            self.hear(line)
        return len(lines)

    def through(self, offset: int) -> tuple[int, ...]:
        """How many answered calls of each client lie at or before an offset, of which no earlier one was dropped."""
        counts = [sum(each <= offset for each in known.values()) for known in self.offsets]
        return tuple(before + count for before, count in zip(self._dropped, counts, strict=True))

    def drop(self, keep: int) -> None:
        """Remember of all but each client's last `keep` calls only that they were answered."""
        for client, known in enumerate(self.offsets):
            old = sorted(known)[: max(len(known) - keep, 0)]
            for call in old:
                del known[call]
            self._dropped[client] += len(old)

    def all_offsets(self) -> list[int]:
        """Of all answered calls, in order."""
        return sorted(offset for known in self.offsets for offset in known.values())

    def copy(self) -> "Oracle":
        """Another one that knows the same."""
        other = Oracle(pairs=self.pairs, clients=len(self.offsets))
        other.offsets, other._dropped = [dict(known) for known in self.offsets], list(self._dropped)
        return other

    def forget_behind(self, offset: int) -> None:
        """The store was taken back to an offset, and that was confirmed."""
        self.offsets = [{call: each for call, each in known.items() if each <= offset} for known in self.offsets]

    def check(self, engine: Engine, *, through: int | None = None, spare: int = 1) -> tuple[int, ...]:
        """Every answered transfer through an offset is there once, no other but up to `spare` a client still waits for.

        Returns how many transfers of each client are there.
        """
        expected = self.answered if through is None else self.through(through)
        found = balances(engine)
        if not found:  # Killed before the accounts were opened.
            assert sum(expected) == 0, f"no account is there, {expected} were answered"
            return expected
        moved = self.moved(found)
        assert found == self.rows(moved)
        for count, answered in zip(moved, expected, strict=True):
            assert answered <= count <= answered + spare, f"{moved} are there, {expected} were answered"
        return moved

    def check_prefix(self, engine: Engine, *, at_least: Sequence[int]) -> tuple[int, ...]:
        """The tables are as they were at some moment since so many calls were answered, and before now."""
        found = balances(engine)
        moved = self.moved(found)
        assert found == self.rows(moved)
        for count, least, most in zip(moved, at_least, self.answered, strict=True):
            assert least <= count <= most + 1, f"{moved} are there, {at_least} to {self.answered} were answered"
        return moved

    def moved(self, found: dict[int, int]) -> tuple[int, ...]:
        """How many transfers of each client the rows show."""
        return tuple(
            sum(found[2 * (client * self.pairs + pair) + 1] - OPENING_BALANCE for pair in range(self.pairs))
            for client in range(len(self.offsets))
        )

    def rows(self, moved: Sequence[int]) -> dict[int, int]:
        """Every balance after so many transfers of each client."""
        rows = dict.fromkeys(range(2 * len(moved) * self.pairs), OPENING_BALANCE)
        for client, count in enumerate(moved):
            for pair in range(self.pairs):
                place = 2 * pair_of(client, pair, self.pairs)
                times = count // self.pairs + (1 <= pair <= count % self.pairs)
                rows[place] -= times
                rows[place + 1] += times
        return rows


def balances(engine: Engine) -> dict[int, int]:
    """Each account's balance."""
    table = engine.database.table("accounts")
    if table is None:
        return {}
    decode: Callable[[bytes], Account] = table.codec.decode
    rows = map(decode, table.rows.values())
    return {row.id: row.balance for row in rows}
