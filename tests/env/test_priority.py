"""A process that stands back: for processor and disk, and for itself alone."""

import os
import platform
import subprocess
import sys

import pytest

from store.env import priority

CHILD = """
import os
from store.env.priority import lower_priority
import ctypes, platform
effects = lower_priority()
policy = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else -1
get = {"x86_64": 252, "aarch64": 31}.get(platform.machine())
io = ctypes.CDLL(None).syscall(get, 1, 0) >> 13 if platform.system() == "Linux" and get else -1
print(" ".join(effects), policy, os.nice(0), io, sep="|")
"""


def lowered() -> tuple[list[str], int, int, int]:
    """(effects, scheduling policy, niceness, I/O class) of a process that stood back."""
    ran = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    effects, policy, nice, io = ran.stdout.strip().split("|")
    return effects.split(), int(policy), int(nice), int(io)


def test_what_is_said_to_take_effect_does() -> None:
    """The system itself says so; being nice works everywhere."""
    effects, policy, nice, io = lowered()
    assert "nice" in effects
    assert nice == priority.NICE
    if "processor" in effects:
        assert policy == os.SCHED_IDLE
    if "disk" in effects and io >= 0:
        assert io == priority._CLASS_IDLE


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux has SCHED_IDLE")
def test_on_linux_the_processor_is_left_to_all_others() -> None:
    """Any process may lower itself that far."""
    assert "processor" in lowered()[0]


def test_a_system_without_any_of_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not offered, or refused, is left out."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "nice", refuse)
    monkeypatch.setattr(os, "sched_setscheduler", refuse, raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "abacus")
    assert priority.lower_priority() == ()
    monkeypatch.delattr(os, "SCHED_IDLE", raising=False)
    monkeypatch.setattr(platform, "system", lambda: "Other")
    assert priority.lower_priority() == ()


def test_the_disk_stays_as_it_is_where_there_is_no_such_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C library that cannot be asked is as one that says no."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr("ctypes.CDLL", refuse)
    assert not priority._idle_disk()
