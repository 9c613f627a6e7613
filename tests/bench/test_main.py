"""python -m bench: what may be asked, what is said, how it ends."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import bench.__main__ as command
from bench.case import CASES
from bench.results import Result, unmeasured

FIELDS = {"case", "metric", "value", "unit", "base", "ratio", "target", "holds"}
UNMEASURED = unmeasured("call", "rate", base="redis 64x1", least=0.6)
HOLDING = Result("call", "rate", 2.0, "calls/s", "redis", 1.2, ">= 1 x", holds=True)
SHORT = Result("call", "rate", 2.0, "calls/s", "redis", 0.8, ">= 1 x", holds=False)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is looked at quickly, and whose temporary directories may be in RAM."""
    monkeypatch.setattr("bench.machine.sync_latencies", lambda _, **_asked: [1e-4])
    monkeypatch.setattr(command, "filesystem", lambda _: "ext4 on a disk")


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], *results: Result) -> int:
    """Run the command with cases that say `results`."""

    def case(_name: str, _directory: Path, *, quick: bool) -> Iterator[Result]:
        return iter(results)

    monkeypatch.setattr(command, "run_case", case)
    return command.main([*words, "--directory", str(tmp_path)])


def test_every_case_names_its_peers() -> None:
    """Every case says whom it stands beside, and the help repeats it."""
    said = " ".join(command.arguments().format_help().split())
    for name, case in CASES.items():
        assert case.PEERS
        assert f"{name}: beside {', '.join(case.PEERS)}" in said


def test_words_are_read() -> None:
    """Cases and flags come in any order; no case means all of them."""
    asked = command.arguments().parse_intermixed_args(["call", "--quick", "memory", "--json", "--check"])
    assert (asked.cases, asked.quick, asked.json, asked.check) == (["call", "memory"], True, True, True)
    assert command.arguments().parse_intermixed_args([]).cases == []


def test_an_unknown_case_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A case that does not exist is named, with those that do."""
    with pytest.raises(SystemExit):
        command.main(["calls"])
    assert f"no case calls; there are {', '.join(CASES)}" in capsys.readouterr().err


def test_a_directory_in_ram_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Durability is not measured in RAM."""
    monkeypatch.setattr(command, "filesystem", lambda _: "tmpfs on tmpfs")
    with pytest.raises(SystemExit):
        command.main(["--directory", str(tmp_path)])
    assert "is in RAM" in capsys.readouterr().err


def test_json_is_one_object_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line of --json is an object with the documented fields, the machine's lines first."""
    assert run(monkeypatch, tmp_path, ["call", "--json"], HOLDING) == 0
    lines = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert all(line.keys() == FIELDS for line in lines)
    machine = {line["metric"] for line in lines if line["case"] == "machine"}
    assert {"cpu", "cores", "python", "filesystem", "fdatasync p50", "fdatasync p99", "commit"} <= machine
    assert lines[0]["case"] == "machine"
    assert msgspec.json.decode(msgspec.json.encode(lines[-1]), type=Result) == HOLDING


def test_a_table_has_every_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """People get every metric with its base and its verdict."""
    assert run(monkeypatch, tmp_path, ["call"], HOLDING, SHORT) == 0
    said = capsys.readouterr()
    assert "holds" in said.out
    assert "short: call: rate: 0.8 x redis, promised >= 1 x" in said.err


@pytest.mark.parametrize(("words", "result", "code"), [
    ([], SHORT, 0), (["--check"], SHORT, command.SHORT), (["--check"], HOLDING, 0),
    ([], UNMEASURED, 0), (["--check"], UNMEASURED, command.SHORT), (["--check", "--json"], UNMEASURED, command.SHORT),
])  # fmt: skip
def test_check_decides_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], result: Result, code: int
) -> None:
    """A target that falls short, or lacks its peer, ends with a code of its own, but only with --check."""
    assert run(monkeypatch, tmp_path, ["call", *words], result) == code


def test_a_missing_peer_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target that lacks its peer is told with the peer, what was promised, and the command that installs it."""
    run(monkeypatch, tmp_path, ["call"], UNMEASURED)
    said = " ".join(capsys.readouterr().err.split())
    assert "apt-get install" in said
    assert "rate, beside redis 64x1: not installed, make bench-peers installs it: missing, promised >= 0.6 x" in said


def test_a_failed_case_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A case that does not end well is named, keeps what it said, and makes the command fail."""

    def failing(_name: str, _directory: Path, *, quick: bool) -> Iterator[Result]:
        yield HOLDING
        raise subprocess.CalledProcessError(3, "case")

    monkeypatch.setattr(command, "run_case", failing)
    assert command.main(["call", "--directory", str(tmp_path)]) == command.FAILED
    said = capsys.readouterr()
    assert "rate" in said.out
    assert "call: the case ended with exit code 3" in said.err
