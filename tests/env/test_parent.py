"""A process that ends with its parent."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LINUX = pytest.mark.skipif(platform.system() != "Linux", reason="Linux alone offers it")
CHILD = """
import os, sys, time
from store.env.parent import end_with
end_with(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}, str(os.getpid())], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline(), end="", flush=True)
time.sleep(60)
"""
DEADLINE_S = 20.0


def is_gone(pid: int) -> bool:
    """Whether no process has that id, but perhaps one that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@LINUX
def test_a_child_ends_with_its_parent_even_while_it_is_stopped() -> None:
    """Killed or not, asked or not: what it held is free."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + DEADLINE_S
    while not is_gone(child):
        assert time.monotonic() < end
        time.sleep(0.01)


@LINUX
def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    """Nobody would end it any more."""
    ended = subprocess.run([sys.executable, "-c", CHILD, "1"], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")
