"""Lets a process stand back behind all others: it runs and reads only while nobody else wants to.

Laws: what a system does not offer is left out; nothing here fails. Who starts a process has it stand back from its
first step on (`idle`), and lets it run a little where it would starve (`hurry`).
"""

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Final

_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
"""The system call's number by machine (Linux); the C library has no function for it."""
_WHO_PROCESS: Final = 1
_CLASS_IDLE: Final = 3
_CLASS_SHIFT: Final = 13
NICE: Final = 19
KEEPING_UP: Final = 5
"""How nice a process is that must keep up with what others do: about a quarter of a core that one other wants, too."""
_AUTOGROUP: Final = Path("/proc/self/autogroup")
"""Linux shares the processor between sessions first, and only within one does a process's own policy count."""


def lower_priority() -> tuple[str, ...]:
    """Stand back for processor and disk; returns what took effect, of "processor", "nice" and "disk"."""
    effects = []
    if idle(0):
        effects.append("processor")
    with suppress(OSError):
        os.nice(NICE)
        effects.append("nice")
    if os.getsid(0) == os.getpid():  # One that shares a session would speak for the others in it.
        with suppress(OSError):
            _AUTOGROUP.write_text(str(NICE))
    if _idle_disk():
        effects.append("disk")
    return tuple(effects)


def idle(pid: int) -> bool:
    """Put a process (0: this one) behind all others of its session: SCHED_IDLE, less than the nicest. Linux alone."""
    return _schedule(pid, getattr(os, "SCHED_IDLE", None))


def hurry(pid: int) -> bool:
    """Let a process that was put behind all others have the little that a nice one gets."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
    return _schedule(pid, getattr(os, "SCHED_OTHER", None))


def nice(pid: int) -> None:
    """Let a process stand back a little: it always gets some of the processor, and never much that others want."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, KEEPING_UP)


def _schedule(pid: int, policy: int | None) -> bool:
    if policy is None:
        return False
    try:
        os.sched_setscheduler(pid, policy, os.sched_param(0))
    except OSError:
        return False
    return True


def _idle_disk() -> bool:
    """The I/O class idle, as far as the disk's scheduler minds it."""
    number = _IOPRIO_SET.get(platform.machine()) if platform.system() == "Linux" else None
    if number is None:
        return False
    try:
        call = ctypes.CDLL(None, use_errno=True).syscall
    except (OSError, AttributeError):
        return False
    return int(call(number, _WHO_PROCESS, 0, _CLASS_IDLE << _CLASS_SHIFT)) == 0
