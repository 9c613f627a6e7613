"""How the log is cut into files and batches."""

from dataclasses import dataclass
from typing import Final

from store.log.format import BODY_HEAD_SIZE, BODY_SIZE_LIMIT, SEGMENT_HEADER_SIZE

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True)
class LogOptions:
    """How the log is cut into files and batches. Any value reads what any other wrote."""

    segment_size_max: int = 64 * MEBIBYTE
    """Bytes after which the next segment begins, default 64 MiB; a segment passes it by what one sync covers.
    Larger: fewer files. Smaller: old log can be dropped in finer pieces."""
    batch_size_max: int = 48 * MEBIBYTE
    """Bytes of records after which a batch is closed, default 48 MiB; the last record may pass it. Larger: less
    overhead for huge bursts. Smaller: less memory held while one batch is checked or replayed."""
    record_size_max: int = 16 * MEBIBYTE
    """Bytes of one record at most, default 16 MiB. Larger: room for larger transactions. Smaller: less memory for one
    record; but callers check their own limits and the log asserts this one, so below them the process would stop."""

    def __post_init__(self) -> None:
        assert self.segment_size_max > SEGMENT_HEADER_SIZE
        assert self.batch_size_max > 0
        assert self.record_size_max > 0
        assert BODY_HEAD_SIZE + self.batch_size_max + self.record_size_max <= BODY_SIZE_LIMIT
