"""What a witness remembers, in a file."""

from pathlib import Path

import pytest

from store.env.witness_memory import FileMemory
from store.errors import ConfigError, DirectoryError

ROOT = bytes(range(32))


def made(path: Path) -> FileMemory:
    """A fresh one, open."""
    FileMemory.make(path / "seen")
    return FileMemory(path / "seen")


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    """For each log the newest."""
    memory = made(tmp_path)
    assert memory.get("a/log") is None
    memory.put("a/log", (5, ROOT))
    memory.put("b/log", (2**60, bytes(32)))
    memory.put("a/log", (9, ROOT[::-1]))
    memory.close()
    again = FileMemory(tmp_path / "seen")
    assert (again.get("a/log"), again.get("b/log")) == ((9, ROOT[::-1]), (2**60, bytes(32)))


def test_one_process_has_it(tmp_path: Path) -> None:
    """Two would each cosign a history."""
    memory = made(tmp_path)
    with pytest.raises(DirectoryError, match="another witness"):
        FileMemory(tmp_path / "seen")
    memory.close()
    FileMemory(tmp_path / "seen").close()


def test_a_missing_memory_is_not_begun_anew(tmp_path: Path) -> None:
    """A witness that forgot would cosign another history; and one that remembers is not made again."""
    with pytest.raises(ConfigError, match="missing"):
        FileMemory(tmp_path / "seen")
    made(tmp_path).close()
    with pytest.raises(FileExistsError):
        FileMemory.make(tmp_path / "seen")


@pytest.mark.parametrize("text", ["", "commitstore witness v2\n", "a 1\n", "a x 00\n", "a 1 zz\n", "a 1 00", "\xff"])
def test_a_damaged_memory_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever is in it; and its lock is free again."""
    made(tmp_path).close()
    head = "" if text.startswith("comm") or not text else "commitstore witness v1\n"
    (tmp_path / "seen").write_bytes((head + text).encode("latin-1"))
    for _ in range(2):
        with pytest.raises(ConfigError, match="damaged"):
            FileMemory(tmp_path / "seen")


def test_what_cannot_be_written_is_not_remembered(tmp_path: Path) -> None:
    """Neither here nor after a restart."""
    memory = made(tmp_path)
    memory.put("a/log", (5, ROOT))
    (tmp_path / "seen.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        memory.put("a/log", (6, ROOT))
    assert memory.get("a/log") == (5, ROOT)
    memory.close()
    assert FileMemory(tmp_path / "seen").get("a/log") == (5, ROOT)
