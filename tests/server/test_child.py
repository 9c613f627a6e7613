"""A child: heard line by line, bounded in silence and in time, ended by its process id, never an exception."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from store.env.priority import NICE
from store.server import child as children
from store.server.child import Child, Ended, Event

LIMIT_S = 20.0


def a_child(code: str, *, silence_max_s: float = LIMIT_S, time_max_s: float = LIMIT_S, **more: Any) -> Child:
    """A process that runs some Python."""
    return Child(
        (sys.executable, "-S", "-E", "-u", "-c", code), silence_max_s=silence_max_s, time_max_s=time_max_s, **more
    )


def ran(code: str, **more: Any) -> tuple[Ended, list[Event]]:
    """How it ended and what it said."""
    heard: list[Event] = []
    return a_child(code, **more).run(heard.append), heard


def running(code: str, act: Callable[[Child], None], **more: Any) -> Ended:
    """How it ends when something is done to it after its first word."""
    child, spoke, ended = a_child(code, **more), threading.Event(), []
    thread = threading.Thread(target=lambda: ended.append(child.run(lambda _: spoke.set())))
    thread.start()
    assert spoke.wait(LIMIT_S)
    act(child)
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    return ended[0]


SAYS_AND_HANGS = 'import time; print(\'{"event": "here"}\'); time.sleep(60)'
STUBBORN = 'import signal, time; signal.signal(15, signal.SIG_IGN); print(\'{"event": "here"}\'); time.sleep(60)'


def test_every_line_is_heard_as_it_is_said() -> None:
    """In order; what is no JSON object is passed over, and a last line without its end is none."""
    said = ('{"event": "a"}\n', "noise\n", "[1]\n", '{"n": 2}\n', "{")
    ended, heard = ran(f"print(*{said!r}, sep='', end='')")
    assert (ended.code, ended.problem) == (0, "")
    assert heard == [{"event": "a"}, {"n": 2}]


def test_its_standard_input_is_empty() -> None:
    """It cannot wait for anybody."""
    ended, heard = ran("import sys; print('{\"n\": %d}' % len(sys.stdin.read()))")
    assert (ended.problem, heard) == ("", [{"n": 0}])


def test_what_it_wrote_last_is_why_it_failed() -> None:
    """An error as the command line writes one, a plain line, or at least its exit code."""
    error = '{"error": "DirectoryError", "message": "in use", "hint": "Wait", "exit": 7}'
    assert ran(f"import sys; print('warning', file=sys.stderr); sys.exit('''{error}''')")[0].problem == "in use. Wait"
    assert ran("import sys; sys.exit('a plain line')")[0].problem == "a plain line"
    assert ran("import sys; sys.exit('[1, 2]')")[0].problem == "[1, 2]"
    ended, _ = ran("import sys; sys.exit(7)")
    assert (ended.code, ended.problem.partition(" ended")[2]) == (7, " with exit code 7")


def test_a_long_complaint_is_kept_at_its_end() -> None:
    """Within a bound."""
    ended, _ = ran("import sys; sys.stderr.write('x' * 10**6 + '\\nthe reason\\n'); sys.exit(1)")
    assert ended.problem == "the reason"


def test_one_that_is_silent_too_long_is_ended() -> None:
    """Its silence counts from its last word; the reason names the bound."""
    ended, heard = ran(SAYS_AND_HANGS, silence_max_s=1.0)
    assert heard == [{"event": "here"}]
    assert ended.code == -signal.SIGTERM
    assert ended.problem.endswith("it said nothing for 1 s")


LINUX = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="Linux alone lets a process stand back so far")


@LINUX
def test_it_stands_back_from_its_first_step_within_the_servers_session() -> None:
    """In a session of its own it would get an equal share of the processor, however far back it stood."""
    say = "import os, json; print(json.dumps({'policy': os.sched_getscheduler(0), 'session': os.getsid(0)}))"
    _, (event,) = ran(say)
    assert event == {"policy": os.SCHED_IDLE, "session": os.getsid(0)}


@LINUX
def test_one_that_starves_is_let_a_little_before_it_is_given_up() -> None:
    """After half of the silence that is allowed."""
    wait = "import os, time\nwhile os.sched_getscheduler(0) == os.SCHED_IDLE: time.sleep(0.05)\n"
    ended, heard = ran(wait + "print('{\"nice\": %d}' % os.getpriority(os.PRIO_PROCESS, 0))", silence_max_s=2.0)
    assert (ended.code, heard) == (0, [{"nice": NICE}])


def test_one_that_takes_too_long_is_ended_however_much_it_says() -> None:
    """Talking is not working."""
    ended, heard = ran('import time\nwhile True: print(\'{"event": "here"}\'); time.sleep(0.01)', time_max_s=1.0)
    assert len(heard) > 1
    assert ended.problem.endswith("it was not done within 1 s")


def test_one_that_does_not_end_when_asked_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its grace."""
    monkeypatch.setattr(children, "END_GRACE_S", 0.3)
    ended = running(STUBBORN, lambda child: child.stop("the server stops"))
    assert ended.code == -signal.SIGKILL
    assert ended.problem.endswith("was ended: the server stops")


def test_one_that_is_stopped_ends_by_its_process_id() -> None:
    """It alone: nothing else that runs by that name."""
    other = running(SAYS_AND_HANGS, lambda child: child.stop("first"))
    pids: list[int | None] = []

    def stop(child: Child) -> None:
        pids.append(child.pid)
        child.stop("first")
        child.stop("second")

    ended = running(SAYS_AND_HANGS, stop)
    assert ended.problem == f"process {pids[0]} was ended: first"
    assert other.code == ended.code == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0] or 0, 0)


def test_one_that_is_stopped_before_it_began_never_begins() -> None:
    """The reason is said all the same."""
    child = a_child("print('{}')")
    child.stop("the server stops")
    assert child.run(lambda _: None) == Ended(None, "the server stops", 0.0)
    assert child.pid is None


def test_one_that_somebody_kills_is_a_failure_that_says_so() -> None:
    """By the signal's name."""

    def kill(child: Child) -> None:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)

    ended = running(SAYS_AND_HANGS, kill)
    assert ended.code == -signal.SIGKILL
    assert ended.problem.endswith("was killed by SIGKILL")
    assert children._signal_name(63) == "signal 63"


def test_one_that_closes_its_ends_and_lives_on_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would hear of it any more."""
    monkeypatch.setattr(children, "END_GRACE_S", 0.3)
    ended, _ = ran("import os, time; os.close(1); os.close(2); time.sleep(60)")
    assert ended.problem.endswith("it closed its output and went on")


def test_one_that_is_gone_is_not_waited_for_because_of_others() -> None:
    """What it started itself may hold its ends open: that is not its own life."""
    other = "other = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])"
    ended, heard = ran(f"import subprocess, sys; {other}; print('{{\"pid\": %d}}' % other.pid); sys.exit(3)")
    assert ended.code == 3
    os.kill(heard[0]["pid"], signal.SIGKILL)


def test_a_line_without_end_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of a line is bounded."""
    monkeypatch.setattr(children, "LINE_SIZE_MAX", 1_000)
    ended, heard = ran("import time; print('x' * 200_000, end='', flush=True); time.sleep(60)")
    assert heard == []
    assert "a line of more than 1000 bytes" in ended.problem


def test_what_cannot_be_started_is_a_failure_that_says_so() -> None:
    """No exception."""
    child = Child(("/nowhere/store",), silence_max_s=1, time_max_s=1)
    ended = child.run(lambda _: None)
    assert (ended.code, ended.seconds) == (None, 0.0)
    assert ended.problem.startswith("/nowhere/store could not be started")


def test_a_listener_that_fails_leaves_no_process_behind() -> None:
    """Its error is the listener's, and passes."""

    def fail(_: Event) -> None:
        raise ZeroDivisionError

    child = a_child(SAYS_AND_HANGS)
    with pytest.raises(ZeroDivisionError):
        child.run(fail)
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid or 0, 0)


def test_its_environment_is_the_servers_and_what_was_set_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials come through the environment."""
    monkeypatch.setenv("OURS", "1")
    code = "import os; print('{\"said\": \"%s %s\"}' % (os.environ['OURS'], os.environ['SET']))"
    assert ran(code, environment={"SET": "2"})[1] == [{"said": "1 2"}]
