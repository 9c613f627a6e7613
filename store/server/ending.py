"""How a server's process ends when it must not go on: at once, with a reason and a code.

Laws: no handler runs, no buffer is sent, nobody is told anything more; the next start recovers.
"""

import os
import sys
import traceback
from typing import Final

from store.errors import EngineStopped

EXIT_DURABILITY_LOST: Final = 74
"""The exit code after a failed write or sync: EX_IOERR of sysexits.h."""
EXIT_BUG: Final = 70
"""The exit code after an error of the store's own that leaves its state in doubt: EX_SOFTWARE."""


def end_process(error: BaseException) -> None:
    """Say why and end at once: no handler runs, no buffer is sent, nobody is told anything more."""
    if isinstance(error, EngineStopped | OSError):
        code, said = EXIT_DURABILITY_LOST, f"store: stopped: {error}\n"
    else:
        said = "".join(traceback.format_exception(error))
        code, said = EXIT_BUG, f"{said}store: stopped by an error of its own; what was told is durable, start again\n"
    try:
        sys.stderr.write(said)
        sys.stderr.flush()
    finally:
        os._exit(code)
