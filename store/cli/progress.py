"""How far a long command has come: phases with bytes and the time left on a terminal, JSON lines everywhere else.

Laws: progress goes to stderr, since it is no result: a bar where that is a terminal, else an event a line, as JSON. So
what goes into a pipe is the result alone, in the form that a terminal shows. With --json progress is an event among the
others, on stdout, so that whoever runs the command hears all in order. Every phase is named when it begins, so nothing
stands at its end in silence.
"""

import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from store.cli.moments import show_bytes, show_span
from store.cli.output import note, print_json, stderr, tell_json

LINES_PER_S: Final = 2.0
"""JSON lines a second within one phase; its first and its last are always said."""

COUNTED: Final = frozenset({"writing", "removing log", "objects", "exporting rows", "importing rows"})
"""Phases that count tables, files, objects or rows; all others count bytes."""


class Phases:
    """Called with (phase, done, total) by whoever works; a context, so that the bar goes when the work ends."""

    def __init__(self, *, json: bool, counts: bool = False, quiet: bool = False, aside: bool = False) -> None:
        """`counts`: every phase does, whatever its name. `quiet`: a bar on a terminal, and nothing anywhere else.

        `aside`: on stderr with --json, too, because stdout carries what is no event.
        """
        events = json and not aside
        self._counts: Final = counts
        self._quiet: Final = quiet
        self._bar: Final = _bar() if stderr.is_terminal and not events else None
        self._print: Final = None if quiet or self._bar else print_json if events else tell_json
        self._task: TaskID | None = None
        self._phase = ""
        self._began = 0.0
        self._said = 0.0
        self._last = (0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(whole=error is None)
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Note how far the phase is; a new name ends the one before."""
        now = time.monotonic()
        if phase != self._phase:
            self._end(whole=True)
            self._begin(phase, now)
        self._last = (done, total)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total or None, amount=self._amount(done, total))
        elif self._print is not None and (now - self._said >= 1 / LINES_PER_S or done == 0):
            self._say(now)

    def only(self, phase: str) -> Callable[[int, int], None]:
        """What takes (done, total), as this phase."""
        return partial(self, phase)

    def _begin(self, phase: str, now: float) -> None:
        self._phase, self._began, self._said, self._last = phase, now, 0.0, (0, 0)
        if self._bar is not None:
            self._bar.start()  # Not before: until then, one may be asked something.
            self._task = self._bar.add_task(phase, total=None, amount="")

    def _end(self, *, whole: bool) -> None:
        if not self._phase:
            return
        now, done = time.monotonic(), self._last[0]
        if self._print is not None:
            self._say(now)
        if self._bar is not None and self._task is not None:
            if whole and not self._quiet:
                amount = self._amount(done, done)
                note(f"  {self._phase}: {amount}{' in ' if amount else ''}{show_span(now - self._began)}")
            self._bar.remove_task(self._task)
        self._phase, self._task = "", None

    @property
    def _counted(self) -> bool:
        return self._counts or self._phase in COUNTED

    def _amount(self, done: int, total: int) -> str:
        if done <= 1 and total <= 1 and not self._counts:  # A phase that only begins and ends.
            return ""
        show = "{:,}".format if self._counted else show_bytes
        return show(done) if done == total or not total else f"{show(done)}/{show(total)}"

    def _say(self, now: float) -> None:
        assert self._print is not None
        done, total = self._last
        line: dict[str, object] = {"event": "progress", "phase": self._phase, "done": done, "total": total}
        line["unit"] = "count" if self._counted else "bytes"
        line["seconds"] = round(now - self._began, 3)
        if 0 < done < total:
            line["eta_s"] = round((now - self._began) * (total - done) / done, 1)
        self._print(line)
        self._said = now


def _bar() -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=stderr,
        transient=True,
    )
