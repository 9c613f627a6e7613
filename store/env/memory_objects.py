"""An object store in memory, with everything that can go wrong at hand: outages, lost answers, decay, held objects."""

import errno
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

from store.env.objects import check_put
from store.env.world import Item, ObjectHead, Result


class MemoryObjects:
    """Objects in a dict (ObjectStore). `before` is called ahead of every act and may raise: what a test plans."""

    def __init__(self, *, says_hash: bool = True) -> None:
        self.content: dict[str, bytes] = {}
        self.acts: list[tuple[str, str]] = []
        """(act, name) of everything that was asked, in order."""
        self.held: set[str] = set()
        """Names that an object lock holds."""
        self._says_hash = says_hash
        self._failing: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Where this is."""
        return "memory:"

    def fail(self, act: str, *, after: int = 0) -> None:
        """Fail one act ("put", "get", …, or "put answer": stored, but nobody hears of it), after so many that work."""
        self._failing[act] = after

    def put(self, name: str, data: bytes, *, if_absent: bool) -> bool:
        """Store all of `data`, or say that it was there."""
        check_put(name, data)
        self._act("put", name)
        there = self.content.get(name)
        if if_absent and there is not None:
            if there != data:
                raise FileExistsError(errno.EEXIST, "the name is taken by other bytes", name)
            return False
        self.content[name] = bytes(data)
        self._act("put answer", name)
        return True

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`."""
        self._act("get", name)
        return self._find(name)[start : None if length is None else start + length]

    def head(self, name: str) -> ObjectHead | None:
        """Its size and hash, or None."""
        self._act("head", name)
        data = self.content.get(name)
        if data is None:
            return None
        return ObjectHead(len(data), sha256(data).hexdigest() if self._says_hash else None)

    def names(self, prefix: str = "") -> list[str]:
        """All names that begin with `prefix`, sorted."""
        self._act("names", prefix)
        return sorted(name for name in self.content if name.startswith(prefix))

    def remove(self, name: str) -> None:
        """Take the object away, unless it is held."""
        self._act("remove", name)
        if name in self.held:
            raise PermissionError(errno.EPERM, "the object is held", name)
        self.content.pop(name, None)

    def each(self, act: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """One after the other: there is no way to wait for."""
        return map(act, items)

    def _find(self, name: str) -> bytes:
        if name not in self.content:
            raise FileNotFoundError(errno.ENOENT, "no such object", name)
        return self.content[name]

    def _act(self, act: str, name: str) -> None:
        self.acts.append((act, name))
        left = self._failing.get(act)
        if left == 0:
            del self._failing[act]
            raise OSError(errno.EIO, f"{act} failed, as was asked for", name)
        if left is not None:
            self._failing[act] = left - 1
