"""The peers: found, or named as missing."""

import pytest

import bench.peers.__main__ as installer
from bench.peers import free_port
from bench.results import MISSING


def test_a_missing_peer_is_never_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every peer has a line: its version, or that it is missing."""
    monkeypatch.setattr(installer, "_INSTALLED", dict.fromkeys(installer._INSTALLED, lambda: False))
    lines = installer.peers()
    assert len(lines) == 3
    assert {line.unit for line in lines} == {MISSING}


def test_who_may_not_install_is_told_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing may be installed, the command is said and the exit code is not zero."""
    monkeypatch.setattr(installer, "_INSTALLED", dict.fromkeys(installer._INSTALLED, lambda: False))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert installer.main() == 1
    assert installer.COMMAND in capsys.readouterr().err


def test_a_free_port_is_free() -> None:
    """A port is a number that can be listened on."""
    assert 1024 <= free_port() <= 65_535
