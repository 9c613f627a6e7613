"""What lies at the log's end without proof that it is on disk, to be written again before it is believed.

Laws: after a failed sync Linux may hold pages as clean that never reached the disk, so reading them back is no proof.
A record is proven by a whole batch that says it was durable, or by a later segment. A vouching batch is proven by
nothing but a proven record behind it: lost in front of later batches, it would look like damage.
"""

from store.env.world import File
from store.log.format import Batch, BatchFormat
from store.log.reader import Tail


class Unproven:
    """Fed with every batch in order, it keeps those behind the last record that a later batch proves."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []

    def add(self, batch: Batch) -> None:
        """Drop what `batch` proves, then keep it. Few are ever kept: those that lay under one sync."""
        kept = self._batches
        for index in range(len(kept) - 1, -1, -1):
            if kept[index].count and kept[index].last_offset <= batch.durable_offset:
                del kept[: index + 1]
                break
        kept.append(batch)

    def write_again(self, file: File, tail: Tail) -> int:
        """The same bytes in the same places of the last segment; durable after a sync. Returns how many bytes."""
        batches = BatchFormat(tail.header.salt)
        written = 0
        for batch in self._batches:
            if batch.segment == tail.segment:  # One that has a successor is proven by it.
                data = batches.encode_again(batch)
                file.write(batch.position, data)
                written += len(data)
        return written
