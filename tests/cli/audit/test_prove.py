"""The rules of `store audit prove`, `verify-proof` and `head`."""

import json
from pathlib import Path

import pytest

from tests.audit.attacks import garbage_checkpoint, one_bit
from tests.audit.small_trails import FIRST_KEY, SECOND_KEY, WITNESS, Trail, small_trail
from tests.cli.history import error, events, run
from tests.tools.test_verify_event import tool

KEY = ("--key", FIRST_KEY.vkey)


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    """A trail of ten events, in the folder."""
    made = small_trail()
    made.write(tmp_path)
    return made


def test_one_event_is_proven_without_the_trail(trail: Trail, tmp_path: Path) -> None:
    """By this command, and by the auditors' tool."""
    plain = run("audit", "prove", ".", "--seq", "5", "-o", "ev.tlog-proof", *KEY, cwd=tmp_path)
    assert plain.stdout.encode().rstrip() == trail.lines[5]
    (tmp_path / "ev.json").write_text(plain.stdout)
    said = run("audit", "verify-proof", "ev.tlog-proof", "--line", "ev.json", *KEY, cwd=tmp_path).stdout
    assert said.startswith("VERIFIED: it is event 5")
    assert tool.main([str(tmp_path / "ev.json"), str(tmp_path / "ev.tlog-proof"), *KEY]) == 0


def test_another_line_or_key_is_not_proven(trail: Trail, tmp_path: Path) -> None:
    """That is the code of tampering."""
    run("audit", "prove", ".", "--seq", "5", "-o", "p", "--line", "ev.json", *KEY, cwd=tmp_path)
    assert (tmp_path / "ev.json").read_bytes() == trail.lines[5] + b"\n"
    other = ["--key", SECOND_KEY.vkey]
    run("audit", "verify-proof", "p", "--line", "ev.json", *other, cwd=tmp_path, exit_code=1)
    witness = ["--witness", WITNESS.vkey]
    run("audit", "verify-proof", "p", "--line", "ev.json", *KEY, *witness, cwd=tmp_path, exit_code=1)
    (tmp_path / "ev.json").write_bytes(trail.lines[4])
    (said,) = events("audit", "verify-proof", "p", "--line", "ev.json", *KEY, cwd=tmp_path, exit_code=1)
    assert said["verdict"] == "TAMPER"
    (tmp_path / "p").write_bytes(b"garbage")
    run("audit", "verify-proof", "p", "--line", "ev.json", *KEY, cwd=tmp_path, exit_code=1)


def test_nothing_is_overwritten_and_what_is_not_there_is_said(trail: Trail, tmp_path: Path) -> None:
    """An event that is not there yet, and a file that is there already."""
    assert (
        "0 to 9" in error("audit", "prove", ".", "--seq", "10", "-o", "p", *KEY, cwd=tmp_path, exit_code=4)["message"]
    )
    (tmp_path / "p").write_text("mine")
    assert (
        "there already"
        in error("audit", "prove", ".", "--seq", "1", "-o", "p", *KEY, cwd=tmp_path, exit_code=4)["message"]
    )
    assert (tmp_path / "p").read_text() == "mine"


def test_a_trail_that_does_not_hold_proves_nothing(tmp_path: Path) -> None:
    """It ends with the code of tampering."""
    one_bit().trail.write(tmp_path)
    run("audit", "prove", ".", "--seq", "3", "-o", "p", *KEY, cwd=tmp_path, exit_code=1)
    assert not (tmp_path / "p").exists()


def test_the_newest_checkpoint_is_kept_and_trusted_later(trail: Trail, tmp_path: Path) -> None:
    """What it saw must still be there."""
    plain = run("audit", "head", ".", "-o", "kept.ckpt", *KEY, cwd=tmp_path).stdout
    assert (tmp_path / "kept.ckpt").read_text() == plain
    assert json.loads(run("audit", "head", ".", "--json", *KEY, cwd=tmp_path).stdout)["size"] == 10
    run("audit", "verify", ".", "--trusted", "kept.ckpt", *KEY, cwd=tmp_path)
    Trail(objects=small_trail(3, 1, 4).objects).write(tmp_path / "cut")
    run("audit", "verify", "cut", "--trusted", "kept.ckpt", *KEY, cwd=tmp_path, exit_code=2)


def test_a_checkpoint_that_does_not_hold_is_told(tmp_path: Path) -> None:
    """The newest that does is shown all the same."""
    garbage_checkpoint().trail.write(tmp_path)
    assert "\n10\n" in run("audit", "head", ".", *KEY, cwd=tmp_path, exit_code=1).stdout
    assert (
        "counts" in error("audit", "head", ".", *KEY, "--witness", WITNESS.vkey, cwd=tmp_path, exit_code=4)["message"]
    )
