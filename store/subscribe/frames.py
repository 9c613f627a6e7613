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


class Frames:
    """What one subprotocol's sessions were told last."""

    def __init__(self, encoding: Encoding, size_max: int) -> None:
        self._frame: Final = encoding.frame
        self._size_max: Final = size_max
        self.parts: list[bytes] = []
        self.payloads: list[bytes] = []
        """The frames of `parts`."""
        self.size = 0
        """Bytes of the parts that were framed last."""
        self.count = 0
        """How many messages they are."""

    def make(self, parts: list[bytes]) -> list[bytes]:
        """Frames of other parts, kept until the next ones are made unless they are large."""
        if len(parts) == 1 and type(parts[0]) is bytes:  # As below, in fewer steps: a lone caller's answer.
            self.size, self.count = len(parts[0]), 1
            payloads = [self._frame(parts, 1)]
            self.parts, self.payloads = (parts, payloads) if self.size <= KEPT_SIZE_MAX else ([], [])
            return payloads
        size, count = sum(map(len, parts)), count_messages(parts)
        self.size, self.count = size, count
        if size + len(parts) + _OVERHEAD <= self._size_max:
            payloads = [self._frame(parts, count)]
        else:
            payloads = [self._frame(some, count_messages(some)) for some in split(parts, self._size_max)]
        self.parts, self.payloads = (parts, payloads) if size <= KEPT_SIZE_MAX else ([], [])
        return payloads


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
