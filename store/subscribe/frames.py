"""Messages as frames, made once for all who are told the same.

Laws: a frame is at most `frame_size_max` bytes, but for a single message that is larger. Sessions that are told the
same messages in the same group share the bytes of its frames.
"""

from typing import Final

from store.subscribe.encoding import Encoding, count_messages

KEPT_SIZE_MAX: Final = 1 << 20
"""Bytes of frames that are kept for the next session; more would hold memory for nothing."""
_OVERHEAD: Final = 5
"""Bytes around a frame's messages, beside one between two: an array's header, or two brackets."""


Framed = tuple[list[bytes], int, int]
"""(frames, bytes of the messages in them, how many messages)."""


class Frames:
    """What one subprotocol's sessions were told last."""

    def __init__(self, encoding: Encoding, size_max: int) -> None:
        self._frame: Final = encoding.frame
        self._size_max: Final = size_max
        self._parts: list[bytes] = []
        self._framed: Framed = ([], 0, 0)

    def of(self, parts: list[bytes]) -> Framed:
        """Frames of these parts: those made last where they are of the same, else new ones, kept unless large."""
        if parts == self._parts:
            return self._framed
        if len(parts) == 1 and type(parts[0]) is bytes:  # As below, in fewer steps: a lone caller's answer.
            framed = [self._frame(parts, 1)], len(parts[0]), 1
        else:
            framed = self._make(parts)
        if framed[1] <= KEPT_SIZE_MAX:
            self._parts, self._framed = parts, framed
        return framed

    def _make(self, parts: list[bytes]) -> Framed:
        size, count = sum(map(len, parts)), count_messages(parts)
        if size + len(parts) + _OVERHEAD <= self._size_max:
            return [self._frame(parts, count)], size, count
        return [self._frame(some, count_messages(some)) for some in split(parts, self._size_max)], size, count


def split(parts: list[bytes], size_max: int) -> list[list[bytes]]:
    """Messages in frames of at most `size_max` bytes, one that is larger alone in its own."""
    frames: list[list[bytes]] = [[]]
    size = _OVERHEAD
    for part in parts:
        if size + len(part) + 1 > size_max and frames[-1]:
            frames.append([])
            size = _OVERHEAD
        frames[-1].append(part)
        size += len(part) + 1
    return frames
