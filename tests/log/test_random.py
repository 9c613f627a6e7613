"""Random lives of a log: any order of acts, failed syncs, restarts and power losses, against a list."""

import random
from contextlib import suppress
from threading import Thread

import pytest

from store.codec import split_batch
from store.env.memory import MemoryDisk, PowerLoss, SeededEntropy
from store.env.posix import PosixDisk
from store.errors import EngineStopped
from store.log.commitlog import Commitlog, LogOptions
from store.log.reader import LogReader
from tests.log.scenes import NOW, commit, flush, new_log, read, record, records, reopen

OPTIONS = LogOptions(segment_size_max=900, batch_size_max=60)


class Life:
    """A log, what was told of it, and the dice that decide what happens next."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311  # Dice that repeat.
        self.disk = MemoryDisk()
        self.log = new_log(self.disk, options=OPTIONS)
        self.acknowledged = 0

    def step(self) -> None:
        """One act; an error of the disk stops the log, and a restart follows."""
        acts = [self.append] * 6 + [self.flush] * 4 + [self.sync] * 5 + [self.vouch, self.rotate, self.rotate]
        acts += [self.restart, self.lose_power, self.break_sync, self.break_write, *[self.append_at_once] * 4]
        try:
            self.dice.choice(acts)()
        except (OSError, EngineStopped):
            self.restart()

    def append(self) -> None:
        """Some records, in memory."""
        for _ in range(self.dice.randrange(1, 15)):
            self.log.append(record(self.log.last_offset + 1))

    def append_at_once(self) -> None:
        """Some records, of which the first is at the system already if nothing waited before it."""
        self.log.write_next_at_once()
        self.append()
        if self.log.unflushed_bytes == 0 and not self.log.stopped:
            assert read(self.disk)[-1] == record(self.log.last_offset)

    def flush(self) -> None:
        """To the system."""
        self.log.flush()

    def sync(self) -> None:
        """To the disk, and tell; on this thread, or on another one, while which perhaps something is flushed."""
        self.log.flush()
        if self.dice.random() < 0.3:
            self.log.sync()
            self.acknowledged = self.log.durable_offset
            return
        ticket = self.log.begin_sync()
        if self.dice.random() < 0.3:
            flush(self.log)
        if ticket is not None:
            ticket.run()
            self.log.complete_sync(ticket)
        self.acknowledged = self.log.durable_offset

    def vouch(self) -> None:
        """Flushed; perhaps synced by and by."""
        self.log.vouch()

    def rotate(self) -> None:
        """As the engine does, or earlier."""
        if self.dice.random() < 0.5:
            self.log.rotate_if_due(NOW)
        else:
            self.log.seal(NOW)

    def break_sync(self) -> None:
        """One of the next syncs will fail."""
        self.disk.fail_sync(after=self.dice.randrange(3))

    def break_write(self) -> None:
        """One of the next writes will fail."""
        self.disk.fail_write(after=self.dice.randrange(3))

    def lose_power(self) -> None:
        """And come back with whatever the disk kept, perhaps losing it again on the way."""
        self.disk = self.disk.crash(SeededEntropy(self.dice.randrange(1 << 30)))
        if self.dice.random() < 0.5:
            self.disk.cut_power(after=self.dice.randrange(5))
            with suppress(PowerLoss, OSError):
                reopen(self.disk, options=OPTIONS)
            self.disk = self.disk.crash(SeededEntropy(self.dice.randrange(1 << 30)))
        self.restart()

    def restart(self) -> None:
        """Another process opens what is there. A fault that is still to come may strike here as well."""
        self.log.close()
        try:
            self.log, replayed, _ = reopen(self.disk, seed=self.dice.randrange(1 << 30), options=OPTIONS)
        except OSError:
            self.restart()
            return
        assert replayed == records(len(replayed))
        assert len(replayed) >= self.acknowledged
        self.acknowledged = len(replayed)


@pytest.mark.parametrize("seed", range(120))
def test_any_life_keeps_what_it_acknowledged(seed: int) -> None:
    """Whatever happens in whatever order, the log opens, in order and whole, with all that anybody was told."""
    life = Life(seed)
    for _ in range(60):
        life.step()
    life.lose_power()


def test_a_log_is_read_while_it_is_written(tmp_path: object) -> None:
    """A reader of a busy directory sees a beginning of the log each time, never damage."""
    disk = PosixDisk(str(tmp_path))
    log = new_log(disk, options=LogOptions(segment_size_max=3000))

    def write() -> None:
        for _ in range(300):
            commit(log, 3)
            log.rotate_if_due(NOW)

    writer = Thread(target=write)
    writer.start()
    looking = PosixDisk(str(tmp_path), read_only=True)
    seen = 0
    while writer.is_alive():
        found = [raw for batch in LogReader(looking) for raw in split_batch(batch.body)]
        assert len(found) >= seen
        seen = len(found)
    writer.join()
    assert read(looking) == records(900)
    log.close()


def test_a_life_is_the_same_for_the_same_seed() -> None:
    """So a failure above can be seen again."""

    def final(seed: int) -> list[str]:
        life = Life(seed)
        for _ in range(60):
            life.step()
        return [life.disk.content(f"log/{name}").hex() for name in life.disk.names("log")]

    assert final(3) == final(3)
    assert Commitlog.exists(Life(1).disk)
