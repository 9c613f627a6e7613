"""A file system that forgets, at a power cut, what was not synced: names and bytes alike.

Laws: what was synced stays. Of what was written since, each file keeps a prefix of its writes, perhaps none, the last
of them perhaps torn; and each folder a prefix of its changes of name: so a name may be there without the bytes, and
bytes without the name. Everything is kept in this process's memory; a cut makes the mount new, and whoever had it open
loses it.

    python -m tests.crash.lossy FOLDER SEED     reads "cut" and "end" from its input, and says "ready" after each
"""

import errno
import os
import random
import select
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.crash.fuse import ROOT_ID, Server, mount, unmount
from tests.crash.nursery import ROOT

FORGETS_ALL, KEEPS_ALL = 0.5, 0.7
"""Of a file's or folder's cuts: up to here nothing unsynced is kept; from here to there, all; beyond, a prefix."""


@dataclass
class File:
    """Bytes: as they are, and as they last."""

    mode: int
    live: bytearray = field(default_factory=bytearray)
    lasting: bytes = b""
    unsynced: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes (position, bytes) and cuts (size, None) since the last sync."""

    def change(self, position: int, data: bytes | None) -> None:
        """Write, or cut."""
        _apply(self.live, position, data)
        self.unsynced.append((position, data))

    def sync(self) -> None:
        """What is there lasts."""
        self.lasting, self.unsynced = bytes(self.live), []

    def cut(self, dice: random.Random) -> None:
        """The power goes."""
        kept = _kept(len(self.unsynced), dice)
        image = bytearray(self.lasting)
        for position, data in self.unsynced[:kept]:
            _apply(image, position, data)
        if kept < len(self.unsynced) and dice.random() < 0.5:
            position, data = self.unsynced[kept]
            if data:
                _apply(image, position, data[: dice.randrange(len(data))])
        self.live, self.lasting, self.unsynced = image, bytes(image), []


@dataclass
class Folder:
    """Names: as they are, and as they last."""

    mode: int
    live: dict[str, int] = field(default_factory=dict)
    lasting: dict[str, int] = field(default_factory=dict)
    unsynced: list[dict[str, int | None]] = field(default_factory=list)
    """Changes since the last sync; each is there whole or not at all."""

    def change(self, change: dict[str, int | None]) -> None:
        """Give names to nodes, or (None) take them away."""
        _rename(self.live, change)
        self.unsynced.append(change)

    def sync(self) -> None:
        """What is there lasts."""
        self.lasting, self.unsynced = dict(self.live), []

    def cut(self, dice: random.Random) -> None:
        """The power goes."""
        for change in self.unsynced[: _kept(len(self.unsynced), dice)]:
            _rename(self.lasting, change)
        self.live, self.unsynced = dict(self.lasting), []


class LossyTree:
    """The whole file system (fuse.Tree)."""

    def __init__(self) -> None:
        self._nodes: dict[int, File | Folder] = {ROOT_ID: Folder(0o040755)}
        self._next = ROOT_ID + 1

    def cut(self, dice: random.Random) -> None:
        """The power goes: what was not synced is as the dice fall."""
        for node in self._nodes.values():
            node.cut(dice)

    def attributes(self, node: int) -> tuple[int, int]:
        """(mode, size)."""
        found = self._nodes[node]
        return found.mode, len(found.live) if isinstance(found, File) else 0

    def lookup(self, folder: int, name: str) -> int:
        """ENOENT where there is no such name."""
        found = self._folder(folder).live.get(name)
        if found is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return found

    def make(self, folder: int, name: str, mode: int) -> int:
        """EEXIST where the name is taken."""
        if name in self._folder(folder).live:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        node, self._next = self._next, self._next + 1
        self._nodes[node] = Folder(mode) if stat.S_ISDIR(mode) else File(mode)
        self._folder(folder).change({name: node})
        return node

    def remove(self, folder: int, name: str) -> None:
        """ENOENT, or ENOTEMPTY for a folder with names in it. Open files go on without a name."""
        found = self._nodes[self.lookup(folder, name)]
        if isinstance(found, Folder) and found.live:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        self._folder(folder).change({name: None})

    def rename(self, folder: int, name: str, target: int, new: str) -> None:
        """EXDEV between folders: nobody here does that, and it would be two changes."""
        if folder != target:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        self._folder(folder).change({new: self.lookup(folder, name), name: None})

    def names(self, folder: int) -> list[tuple[str, int]]:
        """In the order of their making."""
        return list(self._folder(folder).live.items())

    def read(self, node: int, position: int, size: int) -> bytes:
        """As they are, synced or not."""
        return bytes(self._file(node).live[position : position + size])

    def write(self, node: int, position: int, data: bytes) -> None:
        """Not lasting yet."""
        self._file(node).change(position, data)

    def truncate(self, node: int, size: int) -> None:
        """Not lasting yet."""
        self._file(node).change(size, None)

    def change_mode(self, node: int, mode: int) -> None:
        """Lasting at once; nothing rests on it."""
        self._nodes[node].mode = mode

    def sync(self, node: int) -> None:
        """Of a file its bytes, of a folder its names."""
        self._nodes[node].sync()

    def _file(self, node: int) -> File:
        found = self._nodes[node]
        if not isinstance(found, File):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return found

    def _folder(self, node: int) -> Folder:
        found = self._nodes[node]
        if not isinstance(found, Folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return found


class Lossy:
    """Such a file system in a process of its own, mounted at a folder. A context: it is unmounted in the end."""

    def __init__(self, point: Path, *, seed: int) -> None:
        self._point = point
        self._seed = seed

    def __enter__(self) -> Self:
        """OSError with its reason where it cannot be mounted."""
        words = [sys.executable, "-m", "tests.crash.lossy", str(self._point), str(self._seed)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)
        try:
            self._expect_ready()
        except OSError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # The end of its input is the end of it.

    def cut(self) -> None:
        """Cut the power, and start again: whoever had a file open loses it, and what was not synced is gone."""
        assert self._process.stdin is not None
        self._process.stdin.write("cut\n")
        self._process.stdin.flush()
        self._expect_ready()

    def _expect_ready(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != "ready\n":
            assert self._process.stderr is not None
            number, _, reason = line.strip().partition(" ")
            raise OSError(int(number or errno.EIO), reason or self._process.stderr.read())


def main(point: Path, seed: int) -> None:
    """Serve until the input ends."""
    tree, dice = LossyTree(), random.Random(seed)  # noqa: S311  # Nothing secret.
    while True:
        try:
            descriptor = mount(point)
        except OSError as error:
            tell(f"{error.errno} {error.strerror}")
            return
        try:
            tell("ready")
            said = serve(descriptor, tree)
        finally:
            unmount(point)
            os.close(descriptor)  # Whoever still waits for an answer gets an error.
        if said != "cut":
            return
        tree.cut(dice)


def serve(descriptor: int, tree: LossyTree) -> str:
    """Answer the kernel until something is said; returns that, and "" for the end of the input."""
    server = Server(descriptor, tree)
    while True:
        ready, _, _ = select.select([descriptor, sys.stdin], [], [])
        if sys.stdin in ready:
            return sys.stdin.readline().strip()
        if not server.answer_one():
            return ""


def tell(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _apply(image: bytearray, position: int, data: bytes | None) -> None:
    if data is None:
        del image[position:]
        image.extend(bytes(position - len(image)))
    else:
        image.extend(bytes(max(position - len(image), 0)))
        image[position : position + len(data)] = data


def _rename(names: dict[str, int], change: dict[str, int | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _kept(count: int, dice: random.Random) -> int:
    die = dice.random()
    return 0 if die < FORGETS_ALL else count if die < KEEPS_ALL else dice.randint(0, count)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
