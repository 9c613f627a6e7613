"""The kernel's FUSE protocol (linux/fuse.h, version 7.31), as much of it as a small file system needs. No library.

Laws: whoever serves answers one request after the other and keeps every name, byte and mode itself; the kernel is told
to cache nothing. Mounting needs /dev/fuse and the right to mount, or the helper fusermount3.
"""

import ctypes
import errno
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

DEVICE: Final = Path("/dev/fuse")
HELPER: Final = "fusermount3"
INSTALL: Final = "apt-get install fuse3"
MNT_DETACH: Final = 2
MINOR: Final = 31
WRITE_SIZE_MAX: Final = 1 << 17
BUFFER_SIZE: Final = WRITE_SIZE_MAX + (1 << 12)
ROOT_ID: Final = 1
DIRECT_IO: Final = 1
BLOCK: Final = 4_096
_KIND_SHIFT: Final = 12

_IN: Final = struct.Struct("=IIQQIIII")
_OUT: Final = struct.Struct("=IiQ")
_ATTRIBUTES: Final = struct.Struct("=QQQQQQIIIIIIIIII")
_ENTRY: Final = struct.Struct("=QQQQII")
_ATTRIBUTES_HEAD: Final = struct.Struct("=QII")
_OPENED: Final = struct.Struct("=QII")
_INIT: Final = struct.Struct("=IIIIHHIIHHI28x")
_READ: Final = struct.Struct("=QQI")
_WRITE: Final = struct.Struct("=QQII")
_SETATTR: Final = struct.Struct("=IIQQ")
_STATFS: Final = struct.Struct("=QQQQQIIII24x")
_DIRENT: Final = struct.Struct("=QQII")
assert (_IN.size, _OUT.size, _ATTRIBUTES.size, _ENTRY.size, _INIT.size, _STATFS.size) == (40, 16, 88, 40, 64, 80)

LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, UNLINK, RMDIR, RENAME = 1, 2, 3, 4, 9, 10, 11, 12
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = 14, 15, 16, 17, 18, 20, 25, 26
OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, ACCESS, CREATE, INTERRUPT = 27, 28, 29, 30, 34, 35, 36
BATCH_FORGET, RENAME2 = 42, 45
_UNANSWERED: Final = frozenset({FORGET, BATCH_FORGET, INTERRUPT})
_SIZE_GIVEN: Final = 1 << 3
_MODE_GIVEN: Final = 1


class Tree(Protocol):
    """A file system. Every method may raise OSError, which the kernel hands to whoever asked."""

    def attributes(self, node: int) -> tuple[int, int]:
        """(mode, size)."""
        ...

    def lookup(self, folder: int, name: str) -> int:
        """A name's node."""
        ...

    def make(self, folder: int, name: str, mode: int) -> int:
        """A new file or, by its mode, a folder."""
        ...

    def remove(self, folder: int, name: str) -> None:
        """Take a name away."""
        ...

    def rename(self, folder: int, name: str, target: int, new: str) -> None:
        """Move a name, over another one if that is taken."""
        ...

    def names(self, folder: int) -> list[tuple[str, int]]:
        """Each name with its node."""
        ...

    def read(self, node: int, position: int, size: int) -> bytes:
        """Bytes of a file."""
        ...

    def write(self, node: int, position: int, data: bytes) -> None:
        """Change a file."""
        ...

    def truncate(self, node: int, size: int) -> None:
        """Cut a file, or let it grow."""
        ...

    def change_mode(self, node: int, mode: int) -> None:
        """Change who may do what."""
        ...

    def sync(self, node: int) -> None:
        """Content of a file, or names of a folder, last from now on."""
        ...


def why_not() -> str:
    """Why nothing can be mounted here; "" where it can be."""
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    if os.geteuid() and shutil.which(HELPER) is None:
        return f"not root, and {HELPER} is not installed: {INSTALL}"
    return ""


def mount(point: Path) -> int:
    """Mount at a folder; returns the descriptor that requests come through. OSError, also where that is not allowed."""
    if os.geteuid():
        return _mount_with_helper(point)
    descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,max_read={WRITE_SIZE_MAX}"
    if _libc().mount(b"lossy", os.fsencode(point), b"fuse", 0, options.encode()):
        os.close(descriptor)
        raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}")
    return descriptor


def _mount_with_helper(point: Path) -> int:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        environment = {**os.environ, "_FUSE_COMMFD": str(theirs.fileno())}
        done = subprocess.run(
            [HELPER, "-o", "fsname=lossy", "--", point],
            env=environment,
            pass_fds=[theirs.fileno()],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise OSError(errno.EPERM, f"{HELPER}: {done.stderr.decode().strip()}")
        return socket.recv_fds(ours, 1, 1)[1][0]


def unmount(point: Path) -> None:
    """Take the file system away from its folder, whoever has files of it open."""
    if os.geteuid():
        subprocess.run([HELPER, "-u", "-z", "--", point], check=False, capture_output=True)
    else:
        _libc().umount2(os.fsencode(point), MNT_DETACH)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class Server:
    """Answers the kernel's requests out of a tree."""

    def __init__(self, descriptor: int, tree: Tree) -> None:
        self._descriptor = descriptor
        self._tree = tree
        self._answers: dict[int, Callable[[int, bytes], bytes]] = {
            INIT: self._init, LOOKUP: self._lookup, GETATTR: self._getattr, SETATTR: self._setattr,
            MKDIR: self._mkdir, UNLINK: self._remove, RMDIR: self._remove, RENAME: self._rename,
            RENAME2: self._rename, OPEN: self._open, OPENDIR: self._open, CREATE: self._create, READ: self._read,
            WRITE: self._write, READDIR: self._readdir, FSYNC: self._sync, FSYNCDIR: self._sync,
            STATFS: self._statfs, RELEASE: _nothing, RELEASEDIR: _nothing, FLUSH: _nothing, ACCESS: _nothing,
        }  # fmt: skip

    def answer_one(self) -> bool:
        """Wait for a request and answer it; False where the file system is gone."""
        try:
            data = os.read(self._descriptor, BUFFER_SIZE)
        except InterruptedError:
            return True
        except OSError as error:
            return error.errno in {errno.ENOENT, errno.EAGAIN}  # Somebody took his request back.
        _, opcode, unique, node, *_ = _IN.unpack_from(data)
        if opcode in _UNANSWERED:
            return True
        act = self._answers.get(opcode, _unknown)
        try:
            body, failure = act(node, data[_IN.size :]), 0
        except OSError as error:
            body, failure = b"", error.errno or errno.EIO
        try:
            os.write(self._descriptor, _OUT.pack(_OUT.size + len(body), -failure, unique) + body)
        except OSError as error:
            return error.errno == errno.ENOENT
        return True

    def _init(self, _: int, __: bytes) -> bytes:
        return _INIT.pack(7, MINOR, 0, 0, 0, 0, WRITE_SIZE_MAX, 1, 0, 0, 0)

    def _lookup(self, node: int, body: bytes) -> bytes:
        return self._entry(self._tree.lookup(node, _name(body)))

    def _getattr(self, node: int, _: bytes) -> bytes:
        return _ATTRIBUTES_HEAD.pack(0, 0, 0) + self._attributes(node)

    def _setattr(self, node: int, body: bytes) -> bytes:
        given, _, _, size = _SETATTR.unpack_from(body)
        if given & _SIZE_GIVEN:
            self._tree.truncate(node, size)
        if given & _MODE_GIVEN:
            self._tree.change_mode(node, struct.unpack_from("=I", body, 68)[0])
        return self._getattr(node, b"")

    def _mkdir(self, node: int, body: bytes) -> bytes:
        mode, _ = struct.unpack_from("=II", body)
        return self._entry(self._tree.make(node, _name(body[8:]), 0o040000 | mode))

    def _create(self, node: int, body: bytes) -> bytes:
        _, mode, _, _ = struct.unpack_from("=IIII", body)
        made = self._tree.make(node, _name(body[16:]), 0o100000 | (mode & 0o7777))
        return self._entry(made) + _OPENED.pack(0, DIRECT_IO, 0)

    def _remove(self, node: int, body: bytes) -> bytes:
        self._tree.remove(node, _name(body))
        return b""

    def _rename(self, node: int, body: bytes) -> bytes:
        target = struct.unpack_from("=Q", body)[0]
        # RENAME2 has flags between; a name does not begin with a zero byte, and flags that are 0 do.
        names = body[8:] if body[8:9] != b"\0" else body[16:]
        old, new = names.split(b"\0")[:2]
        self._tree.rename(node, old.decode(), target, new.decode())
        return b""

    def _open(self, _: int, __: bytes) -> bytes:
        return _OPENED.pack(0, DIRECT_IO, 0)

    def _read(self, node: int, body: bytes) -> bytes:
        _, position, size = _READ.unpack_from(body)
        return self._tree.read(node, position, size)

    def _write(self, node: int, body: bytes) -> bytes:
        _, position, size, _ = _WRITE.unpack_from(body)
        self._tree.write(node, position, body[40 : 40 + size])
        return struct.pack("=II", size, 0)

    def _readdir(self, node: int, body: bytes) -> bytes:
        _, position, size = _READ.unpack_from(body)
        told = b""
        for place, (name, each) in enumerate(self._tree.names(node)[position:], position + 1):
            data = name.encode()
            kind = self._tree.attributes(each)[0] >> _KIND_SHIFT
            entry = _DIRENT.pack(each, place, len(data), kind) + data
            entry += bytes(-len(entry) % 8)
            if len(told) + len(entry) > size:
                break
            told += entry
        return told

    def _sync(self, node: int, _: bytes) -> bytes:
        self._tree.sync(node)
        return b""

    def _statfs(self, _: int, __: bytes) -> bytes:
        free = 1 << 24
        return _STATFS.pack(free, free, free, free, free, BLOCK, 255, BLOCK, 0)

    def _entry(self, node: int) -> bytes:
        return _ENTRY.pack(node, 1, 0, 0, 0, 0) + self._attributes(node)

    def _attributes(self, node: int) -> bytes:
        mode, size = self._tree.attributes(node)
        blocks, owner, group = -(-size // 512), os.geteuid(), os.getegid()
        return _ATTRIBUTES.pack(node, size, blocks, 0, 0, 0, 0, 0, 0, mode, 1, owner, group, 0, BLOCK, 0)


def _nothing(_: int, __: bytes) -> bytes:
    return b""


def _unknown(_: int, __: bytes) -> bytes:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _name(body: bytes) -> str:
    return body[: body.index(b"\0")].decode()
