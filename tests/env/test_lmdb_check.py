"""Whether an LMDB file may be opened: what another process says of it."""

import sys
from pathlib import Path

import lmdb
import pytest

from store.env import lmdb_check
from store.env.lmdb_check import DATA_NAME, EXIT_DAMAGED, checksum, damage, main


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """A sound file with two values."""
    with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as writing:
        for key, value in ((b"a", b"hello"), (b"b", bytes(100_000))):
            writing.put(key, checksum(key, value) + value)
    return tmp_path


def test_a_sound_file_is_sound(folder: Path) -> None:
    """In this process and in another."""
    assert main([str(folder)]) == 0
    assert damage(folder) == ""


def test_a_changed_value_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its key; the engine itself would not see it."""
    data = (folder / DATA_NAME).read_bytes()
    (folder / DATA_NAME).write_bytes(data.replace(b"hello", b"hullo"))
    assert main([str(folder)]) == EXIT_DAMAGED
    assert capsys.readouterr().out == "the value of a is not what was written\n"
    assert damage(folder) == "the value of a is not what was written"


def test_a_file_that_is_none_is_damaged(folder: Path) -> None:
    """So is a missing one: nobody asks of such."""
    (folder / DATA_NAME).write_bytes(b"x" * 10_000)
    assert damage(folder)
    (folder / DATA_NAME).unlink()
    assert damage(folder)


@pytest.mark.parametrize("end", ["import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "raise SystemExit(3)"])
def test_a_check_that_crashes_is_damage(folder: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """Whatever ended its process would have ended ours."""
    script = folder / "python"
    script.write_text(f"#!{sys.executable}\n{end}\n")
    script.chmod(0o755)
    monkeypatch.setattr(lmdb_check.sys, "executable", str(script))
    assert "ended its process" in damage(folder)


def test_a_check_that_never_ends_is_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up after a while."""
    script = folder / "python"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(lmdb_check.sys, "executable", str(script))
    assert "0 s" in damage(folder, timeout_s=0.1)
