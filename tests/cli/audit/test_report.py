"""The rules of `store audit report`: a page, and the code of a verification."""

from pathlib import Path

from tests.audit.attacks import one_bit
from tests.audit.small_trails import FIRST_KEY, small_trail
from tests.cli.history import error, run

KEY = ("--key", FIRST_KEY.vkey)


def test_a_page_is_written_whatever_comes_out(tmp_path: Path) -> None:
    """And the command ends as `verify` does."""
    small_trail().write(tmp_path / "sound")
    one_bit().trail.write(tmp_path / "changed")
    run("audit", "report", "sound", "-o", "sound.html", *KEY, cwd=tmp_path)
    assert "VERIFIED" in (tmp_path / "sound.html").read_text()
    run("audit", "report", "changed", "-o", "changed.html", *KEY, cwd=tmp_path, exit_code=1)
    assert "TAMPER" in (tmp_path / "changed.html").read_text()


def test_the_page_says_which_part_it_is_of(tmp_path: Path) -> None:
    """And counts the events of the batches of that part."""
    small_trail().write(tmp_path)
    run("audit", "report", ".", "-o", "r.html", *KEY, "--from-seq", "8", cwd=tmp_path)
    text = (tmp_path / "r.html").read_text()
    assert "--from-seq 8" in text
    assert "2 of 2 read" in text


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A page that is there stays."""
    small_trail(1).write(tmp_path)
    (tmp_path / "r.html").write_text("mine")
    assert "already" in error("audit", "report", ".", "-o", "r.html", *KEY, cwd=tmp_path, exit_code=4)["message"]
