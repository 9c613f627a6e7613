"""What lies at the log's end without proof."""

from collections.abc import Callable

import pytest

from store.env.memory import MemoryDisk
from store.log.commitlog import Commitlog
from store.log.reader import LogReader
from store.log.unproven import Unproven
from tests.log.scenes import NOW, commit, flush, new_log, vouch


def written(disk: MemoryDisk) -> list[tuple[int, int]]:
    """Where bytes would be written again: (position, length)."""
    unproven, reader = Unproven(), LogReader(disk)
    for batch in reader:
        unproven.add(batch)
    assert reader.tail is not None
    file = Recorder()
    total = unproven.write_again(file, reader.tail)  # type: ignore[arg-type]  # It only writes.
    assert total == sum(length for _, length in file.writes)
    content = disk.content(reader.tail.segment)
    assert all(content[at : at + len(data)] == data for at, data in file.data)
    return file.writes


class Recorder:
    """Takes writes and remembers them."""

    def __init__(self) -> None:
        self.data: list[tuple[int, bytes]] = []

    @property
    def writes(self) -> list[tuple[int, int]]:
        """Where and how much."""
        return [(at, len(data)) for at, data in self.data]

    def write(self, position: int, data: bytes) -> None:
        """As a File does."""
        self.data.append((position, data))


def live(log: Commitlog, acts: str) -> None:
    """Do these acts, one after the other."""
    known: dict[str, Callable[[], object]] = {
        "commit": lambda: commit(log),
        "flush": lambda: flush(log),
        "sync": log.sync,
        "vouch": lambda: vouch(log),
        "seal": lambda: log.seal(NOW),
    }
    for act in acts.split():
        known[act]()


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        ("commit", [(100, 97)]),
        ("commit commit", [(197, 97)]),
        ("commit flush flush sync", [(197, 97), (294, 97)]),
        ("commit vouch", [(197, 89)]),
        ("commit vouch commit", [(197, 89), (286, 97)]),
        ("commit vouch commit commit", [(383, 97)]),
        ("commit commit seal", []),
    ],
)
def test_what_lies_behind_the_last_proven_record_is_written_again(acts: str, expected: list[tuple[int, int]]) -> None:
    """The same bytes in the same places: batches under the newest sync, and vouching ones that nothing proves."""
    disk = MemoryDisk()
    live(new_log(disk), acts)
    assert written(disk) == expected
