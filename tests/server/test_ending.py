"""How a server's process ends: with a reason, a code, and nothing more. What leads there is in test_runner.py."""

import subprocess
import sys

import pytest

from store.server.ending import EXIT_BUG, EXIT_DURABILITY_LOST


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("OSError(5, 'Input/output error')", EXIT_DURABILITY_LOST, "store: stopped: [Errno 5] Input/output error\n"),
        ("EngineStopped('the log failed to sync')", EXIT_DURABILITY_LOST, "store: stopped: the log failed to sync\n"),
        ("ValueError('of ours')", EXIT_BUG, "ValueError: of ours\nstore: stopped by an error of its own;"),
    ],
)
def test_it_says_why_and_does_nothing_else(raised: str, code: int, said: str) -> None:
    """No handler runs, and nothing behind it."""
    script = f"""
import atexit
from store.errors import EngineStopped
from store.server.ending import end_process
atexit.register(lambda: print("a handler ran"))
try:
    end_process({raised})
finally:
    print("it went on")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == code
    assert said in ended.stderr
    assert ended.stdout == ""
