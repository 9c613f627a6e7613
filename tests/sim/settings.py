"""The store's options in the simulator: everything small, so that every limit is met in a few hundred steps."""

from typing import Final

from store.engine.idempotency import EXPIRY_MICROSECONDS
from store.engine.options import EngineOptions
from store.log.options import LogOptions
from store.snapshot.options import SnapshotOptions
from store.subscribe.options import Options

ENGINE: Final = EngineOptions(free_space_reserve=80_000, tail_size_max=8_000, blank_size=12_000)
LOG: Final = LogOptions(segment_size_max=3_000, batch_size_max=1_500)
SESSIONS: Final = Options(
    frame_size_max=5_000,
    messages_per_frame_max=8,
    outbox_bytes_max=7_000,
    ahead_max=3_000,
    first_rows_kept_max=12_000,
    resume_transactions_max=60,
)

CONSTANTS: Final = {
    "subscribe.subscriptions.BROADCAST_MIN": 2,
    "subscribe.broadcast.HELD_SIZE_MAX": 1_000,
    "subscribe.deliveries.SLICE_MS": 0.0,
    "subscribe.deliveries.AT_ONCE_MAX": 3,
    "subscribe.streams.STREAMS_MAX": 2,
    "subscribe.returning.CAUGHT_UP_MAX": 2,
    "subscribe.missed.PIECE_COUNT_MAX": 5,
    "subscribe.missed.PIECE_SIZE_MAX": 3_000,
    "subscribe.missed.PIECES_MAX": 2,
    "subscribe.first_rows.CHUNK_ROWS_MAX": 4,
    "subscribe.first_rows.SHARED_CHUNKS_MAX": 2,
    "subscribe.first_rows.SORTED_MAX": 6,
    "subscribe.first_rows.SINCE_MAX": 3,
    "subscribe.first_rows.GATHERED_MAX": 5,
    "subscribe.shaped.MOVES_MAX": 2,
    "subscribe.shaped.PREPARED_MAX": 2,
    "query.shaping.topk.SPARE_ROWS": 1,
    "query.shaping.topk.LOW_ROWS": 1,
    "query.shaping.ranked.HELD_MAX": 2,
    "query.shaping.ranked.LOW_VALUES": 2,
}
"""What is no option, in the store: as small as the rest while a history is lived."""
SNAPSHOTS: Final = SnapshotOptions(block_size=400, keep_last=2, keep_daily=0, keep_for_s=0.5, grace_s=0.2, lease_s=60.0)
FOLDERS: Final = ("", "pin", "log", "snapshot", "block")
"""Of a data directory."""
PATIENCE: Final = EXPIRY_MICROSECONDS * 3 // 4
"""Microseconds for which a client repeats a call."""
PLENTY: Final = 1 << 30
"""Bytes of a disk that nobody could fill here; offsets, frames and links that nobody could count to."""
