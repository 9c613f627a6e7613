"""The rules of progress: what is told of a long command, and where."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.cli.progress import Phases
from tests.cli.tenant import ROOT, environment

WORK = """
from store.cli.progress import Phases
with Phases(json={json}) as told:
    told("copying", 0, 4_000_000)
    told("copying", 1_000_000, 4_000_000)
    told("copying", 4_000_000, 4_000_000)
    told("replaying", 0, 2_000_000)
    told("replaying", 2_000_000, 2_000_000)
"""


def lines(captured: pytest.CaptureFixture[str]) -> Iterator[dict[str, object]]:
    """The events on stdout."""
    out, err = captured.readouterr()
    assert err == ""
    return map(json.loads, out.splitlines())


def test_with_json_every_phase_begins_and_ends_in_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is an object on stdout with phase, done, total and unit; in between not more than a few a second."""
    with Phases(json=True) as told:
        for done in range(1001):
            told("copying", done, 1000)
        told("writing", 3, 3)
    told_lines = list(lines(capsys))
    first, *_, last = [each for each in told_lines if each["phase"] == "copying"]
    written = told_lines[-1]
    assert (first["event"], first["phase"], first["done"], first["unit"]) == ("progress", "copying", 0, "bytes")
    assert (last["phase"], last["done"], last["total"]) == ("copying", 1000, 1000)
    assert (written["phase"], written["unit"]) == ("writing", "count")


def test_with_json_there_are_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten thousand reports within a moment are not ten thousand lines."""
    with Phases(json=True) as told:
        for done in range(10_000):
            told("copying", done, 10_000)
    assert len(list(lines(capsys))) < 100


def test_half_of_it_says_how_long_the_rest_takes(capsys: pytest.CaptureFixture[str]) -> None:
    """The time left is there as soon as something is done and something is left."""
    with Phases(json=True) as told:
        told("copying", 1, 4)
    (*_, last) = lines(capsys)
    assert isinstance(last["eta_s"], float)


def test_without_a_terminal_progress_is_json_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """The same events as with --json; stdout is left to the result, in whatever form that was asked for."""
    with Phases(json=False) as told:
        told("copying", 0, 4_000_000)
        told("copying", 4_000_000, 4_000_000)
        told("checking", 0, 1)
        told("checking", 1, 1)
    out, err = capsys.readouterr()
    assert out == ""
    said = [json.loads(line) for line in err.splitlines()]
    assert [(each["phase"], each["done"]) for each in said] == [
        ("copying", 0),
        ("copying", 4_000_000),
        ("checking", 0),
        ("checking", 1),
    ]
    assert {each["event"] for each in said} == {"progress"}


def test_what_broke_off_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Its last line says how far it came; the error speaks for the rest."""

    def fail() -> None:
        with Phases(json=False) as told:
            told("copying", 1, 4_000_000)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    *_, last = map(json.loads, capsys.readouterr().err.splitlines())
    assert (last["done"], last["total"]) == (1, 4_000_000)


def test_where_stdout_carries_data_events_go_aside(capsys: pytest.CaptureFixture[str]) -> None:
    """As where rows are exported to stdout: even with --json, progress is on stderr."""
    with Phases(json=True, aside=True) as told:
        told("exporting rows", 1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err.splitlines()[-1])["phase"] == "exporting rows"


def test_quiet_says_nothing_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """For commands whose result says all."""
    with Phases(json=True, quiet=True) as told:
        told.only("verifying")(1, 2)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar_with_bytes_and_time_left(tmp_path: Path) -> None:
    """Each phase that is done leaves a line; the bar is gone in the end."""
    leader, follower = pty.openpty()
    working = subprocess.Popen(
        [sys.executable, "-c", WORK.format(json=False)],
        cwd=ROOT,
        env=environment(TERM="xterm"),
        stdout=subprocess.PIPE,
        stderr=follower,
    )
    os.close(follower)
    painted = b""
    while chunk := _read(leader):
        painted += chunk
    os.close(leader)
    out, _ = working.communicate(timeout=30)
    assert (working.returncode, out) == (0, b"")
    text = painted.decode()
    assert "copying: 4.0 MB in" in text
    assert "replaying: 2.0 MB in" in text
    assert "━" in text


def _read(file: int) -> bytes:
    """More of what was painted; Linux says EIO where the other side is closed."""
    try:
        return os.read(file, 65_536)
    except OSError:
        return b""
