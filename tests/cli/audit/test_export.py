"""The rules of `store audit export`: a folder that verifies without the store."""

import subprocess
import sys
from pathlib import Path

from store.cli.audit.export import EVENT_TOOL, TOOL, tool
from tests.audit.attacks import delete_marker, missing_batch, new_version, one_bit
from tests.audit.small_trails import FIRST_KEY, small_trail
from tests.cli.history import error, events, run

KEY = ("--key", FIRST_KEY.vkey)


def verified_alone(folder: Path, *arguments: str) -> int:
    """What the verifier that lies in an export says of it, in a process that has nothing of the store."""
    command = [sys.executable, "-I", "verify_audit.py", ".", *KEY, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def test_an_export_verifies_alone_and_by_the_store(tmp_path: Path) -> None:
    """With the verifier that lies in it, and says how in its page."""
    small_trail().write(tmp_path / "trail")
    run("audit", "export", "trail", "out", *KEY, cwd=tmp_path)
    assert verified_alone(tmp_path / "out") == 0
    assert events("audit", "verify", "out", "--check-locks", *KEY, cwd=tmp_path)[-1]["counts"]["locks"] == 14
    page = (tmp_path / "out" / "README.txt").read_text()
    assert "python verify_audit.py . --key VKEY\n" in page
    assert FIRST_KEY.vkey in page
    for each in (TOOL, EVENT_TOOL):
        assert (tmp_path / "out" / each).read_bytes() == tool(each)
        assert f"python {each} " in page


def test_a_part_verifies_as_that_part(tmp_path: Path) -> None:
    """Its page says with which arguments."""
    small_trail().write(tmp_path / "trail")
    run("audit", "export", "trail", "out", *KEY, "--from-seq", "4", "--to-seq", "7", cwd=tmp_path)
    assert len(list((tmp_path / "out").rglob("batch/*.zst"))) == 1
    assert "--key VKEY --from-seq 4 --to-seq 7\n" in (tmp_path / "out" / "README.txt").read_text()
    assert verified_alone(tmp_path / "out", "--from-seq", "4", "--to-seq", "7") == 0
    assert verified_alone(tmp_path / "out") == 2


def test_a_part_by_time_is_verified_by_its_events(tmp_path: Path) -> None:
    """Its page says which ones they are, for the verifier alone asks for numbers."""
    small_trail().write(tmp_path / "trail")
    at = ("--from", "2026-09-21T14:13:23Z", "--to", "2026-09-21T14:13:23Z")
    run("audit", "export", "trail", "out", *KEY, *at, cwd=tmp_path)
    assert "--key VKEY --from-seq 3 --to-seq 3\n" in (tmp_path / "out" / "README.txt").read_text()
    assert verified_alone(tmp_path / "out", "--from-seq", "3", "--to-seq", "3") == 0


def test_what_is_found_goes_out_as_it_is(tmp_path: Path) -> None:
    """Evidence of an attack is evidence: the export has it, and so has the exit code."""
    for attack, code in ((one_bit, 1), (missing_batch, 2), (new_version, 0), (delete_marker, 0)):
        name = attack.__name__
        attack().trail.write(tmp_path / name)
        run("audit", "export", name, f"{name}.out", *KEY, cwd=tmp_path, exit_code=code)
        assert verified_alone(tmp_path / f"{name}.out") == code
        found = events("audit", "verify", f"{name}.out", *KEY, cwd=tmp_path, exit_code=code)
        assert [each for each in found if each["event"] == "finding"]


def test_a_plain_copy_is_exported_without_a_word_on_locks(tmp_path: Path) -> None:
    """Nothing is made up."""
    small_trail().write(tmp_path / "trail", locks=False)
    run("audit", "export", "trail", "out", *KEY, cwd=tmp_path)
    assert list((tmp_path / "out").rglob("*.lock")) == []
    assert verified_alone(tmp_path / "out") == 0


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """The folder is new, or empty."""
    small_trail(1).write(tmp_path / "trail")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    assert "not empty" in error("audit", "export", "trail", "out", *KEY, cwd=tmp_path, exit_code=4)["message"]
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine"]
