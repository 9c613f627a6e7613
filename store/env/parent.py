"""A process that lives no longer than the one that started it, however that ends.

Laws: Linux alone offers it; elsewhere a child ends by what its parent tells it, and outlives one that was killed. What
counts is the thread that started the process: it must live as long as it is to.
"""

import ctypes
import os
import platform
import signal
from typing import Final

PARENT_VARIABLE: Final = "STORE_CHILD_OF"
"""The environment variable in which a server tells a process of its own whose child it is, by process id."""
_PR_SET_PDEATHSIG: Final = 1


def end_with(pid: int) -> bool:
    """Be killed when that process, this one's parent, ends; at once where it is gone. Whether that is offered."""
    if platform.system() != "Linux":
        return False
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != pid:
        os.kill(os.getpid(), signal.SIGKILL)
    return True
