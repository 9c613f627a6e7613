"""Lets a process stand back behind all others: it runs and reads only while nobody else wants to.

Laws: what a system does not offer is left out; nothing here fails. A process sets this for itself, so that it holds
from its first step on, and there is no way back: it is for processes that do one thing and end.
"""

import ctypes
import os
import platform
from contextlib import suppress
from typing import Final

_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
"""The system call's number by machine (Linux); the C library has no function for it."""
_WHO_PROCESS: Final = 1
_CLASS_IDLE: Final = 3
_CLASS_SHIFT: Final = 13
NICE: Final = 19


def lower_priority() -> tuple[str, ...]:
    """Stand back for processor and disk; returns what took effect, of "processor", "nice" and "disk"."""
    effects = []
    if _idle_processor():
        effects.append("processor")
    with suppress(OSError):
        os.nice(NICE)
        effects.append("nice")
    if _idle_disk():
        effects.append("disk")
    return tuple(effects)


def _idle_processor() -> bool:
    """SCHED_IDLE: less than the nicest process. Linux alone has it."""
    policy = getattr(os, "SCHED_IDLE", None)
    if policy is None:
        return False
    try:
        os.sched_setscheduler(0, policy, os.sched_param(0))
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
