"""What waits for one client: held until it is durable, then unsent until its network has taken it.

Laws: what waits is bounded in bytes and in messages, and whoever lets more come is cut off, to come back and resume; it
costs no other client anything. An answer with rows that has no room is refused instead: it was asked for.
"""

from typing import Final, Protocol

from store.engine.feed import Feed
from store.errors import Overloaded
from store.subscribe.broadcast import Broadcast
from store.subscribe.encoding import Encoding, Told
from store.subscribe.frames import Framed, Frames
from store.subscribe.messages import CLOSE_TOO_SLOW
from store.subscribe.options import Options

RESULTS_MAX: Final = 64
"""Results that are one part at most: a frame is made of whole parts."""
GATHERED_SIZE_MAX: Final = 32
"""Bytes of a value up to which its result is encoded with its neighbours."""
_RESULT_SIZE_MAX: Final = GATHERED_SIZE_MAX + 32
"""Bytes that such a result has at most."""


class Wire(Protocol):
    """One client's connection, as its session needs it. Nothing here raises, or calls the session back."""

    def transmit(self, payload: bytes) -> int:
        """Send one frame, text or binary as the session says. Returns the bytes the network has not taken yet."""
        ...

    def unsent_bytes(self) -> int:
        """Bytes transmitted that the network has not taken yet."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Cut the client off."""
        ...


class Outbox:
    """One client's; a Receiver of the feed and a Listener of broadcasts."""

    def __init__(self, feed: Feed, encoding: Encoding, wire: Wire, frames: Frames, options: Options) -> None:
        self.encoding: Encoding = encoding
        self.held: list[bytes] = []
        """Messages held for this client until they are durable; the feed empties it."""
        self.held_bytes = 0
        """Their bytes."""
        self.broadcast: Broadcast | None = None
        """The one that told it something last (Listener)."""
        self._results: Final[list[Told]] = []
        """Results that were told last, encoded when anything else is, or at the end of the frame."""
        self._results_max: Final = max(min(RESULTS_MAX, options.frame_size_max // _RESULT_SIZE_MAX), 1)
        self._feed: Final = feed
        self._receivers: Final = feed.receivers
        self._wire: Final = wire
        self._transmit: Final = wire.transmit
        self._frames: Final = frames
        self._options: Final = options
        self._outbox_bytes_max = options.outbox_bytes_max
        self._outbox_messages_max: Final = options.outbox_messages_max
        self._room: Final = options.room
        self._unsent_bytes = 0
        self._sent_bytes = self._mark = 0
        self._unsent_messages = self._unsent_before = 0
        self._closed = False

    def detach(self) -> None:
        """The connection is gone: forget what is held. May be called again."""
        self._closed = True
        self.broadcast = None
        self._outbox_bytes_max = -1
        self._feed.forget(self)

    def tell(self, message: bytes) -> None:
        """Hold one encoded message; a client with too much waiting is cut off."""
        if self._results:
            self.tell_results()
        held = self.held_bytes + len(message)
        if held + self._unsent_bytes > self._outbox_bytes_max and not self._has_room(len(message)):
            self._cut_off(f"{self._options.outbox_bytes_max} bytes")
            return
        self.held_bytes = held
        waiting = self.held
        if not waiting:  # As Feed.hold does, without the call.
            self._receivers.append(self)
        elif len(waiting) >= self._outbox_messages_max:
            self._cut_off(f"{self._outbox_messages_max} messages")
            return
        waiting.append(message)

    def tell_results(self) -> None:
        """Hold the results that were gathered, as one part."""
        told = self._results.copy()
        self._results.clear()  # First: telling asks for it again.
        assert self.encoding.results is not None
        size = self._results_max
        for place in range(0, len(told), size):
            self.tell(self.encoding.results(told[place : place + size]))

    def prepare(self, parts: list[bytes]) -> Framed:
        """Messages in as few frames as their size allows."""
        return self._frames.of(parts)

    def release(self, prepared: Framed) -> None:
        """Let them out: all of them are durable."""
        payloads, size, count = prepared
        self.held_bytes -= size
        self.send(payloads, size, count)

    def send(self, payloads: list[bytes], size: int, count: int) -> None:
        """Let frames out: `count` messages of `size` bytes, all durable (Listener)."""
        if self._closed:
            return
        unsent = 0
        for payload in payloads:
            unsent = self._transmit(payload)
        self._unsent_bytes = unsent
        if unsent or self._unsent_messages:
            self._note_unsent(size, count)

    def _note_unsent(self, size: int, count: int) -> None:
        """Count the messages among the unsent bytes: those since a mark, and those before it while it is unsent."""
        if not self._unsent_bytes:
            self._unsent_messages = self._unsent_before = self._sent_bytes = self._mark = 0
            return
        self._sent_bytes += size
        if self._sent_bytes - self._unsent_bytes >= self._mark:
            self._unsent_before, self._unsent_messages, self._mark = self._unsent_messages, 0, self._sent_bytes
        self._unsent_messages += count
        if self._unsent_before + self._unsent_messages > self._outbox_messages_max:
            self._cut_off(f"{self._outbox_messages_max} messages")
        elif self._unsent_bytes > self._outbox_bytes_max:  # Nobody asked for room before a broadcast.
            self._cut_off(f"{self._outbox_bytes_max} bytes")

    def has_room(self) -> bool:
        """Whether so much was read that more first rows may be told (Recipient)."""
        self._unsent_bytes = self._wire.unsent_bytes()
        return self.held_bytes + self._unsent_bytes < self._room

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes more may wait for this client, after another look at what was sent."""
        if self._closed:
            return False
        self._unsent_bytes = self._wire.unsent_bytes()
        return self.held_bytes + size + self._unsent_bytes <= self._outbox_bytes_max

    def _cut_off(self, bound: str) -> None:
        """End the conversation with a client that reads too slowly; it may come back and resume."""
        if self._closed:
            return
        self.detach()
        self._wire.close(CLOSE_TOO_SLOW, f"more than {bound} wait to be read")

    def check_size(self, size: int) -> None:
        """Overloaded where rows of so many bytes alone are more than may wait for this client."""
        if size > self._options.rows_size_max:
            raise self._too_many(size)

    def tell_rows(self, message: bytes) -> None:
        """Hold an answer with rows. Overloaded where it has no room: the client is not slow, it asked for much.

        What is told after it has room, too: else a client that repeats all of it when it comes back would never stay.
        """
        options = self._options
        if not self._has_room(len(message) + options.outbox_bytes_max - options.rows_size_max):
            raise self._too_many(len(message))
        self.tell(message)

    def _too_many(self, size: int) -> Overloaded:
        return Overloaded(
            f"the rows are {size} bytes; with what waits for this client at most"
            f" {self._options.rows_size_max} bytes may be held",
            hint="Ask for fewer rows with WHERE, or again when you have read what was sent",
            details={"limit": "outbox_bytes_max"},
        )
