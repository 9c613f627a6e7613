"""What operators do by hand beside a server that runs: a note that is found becomes a record, about a second later.

Laws: as those of engine/acts.py. Nobody waits for it: where there is no room, or the disk does not take the note of
what is being logged, it is tried again at a later look.
"""

from contextlib import suppress
from typing import Final

from store.engine.engine import Engine
from store.server.runner import TICK_SECONDS, Runner

LOOK_TICKS: Final = round(1 / TICK_SECONDS)
"""Rounds of housekeeping between two looks."""


class ActsByHand:
    """Looks for notes, and has the engine log them."""

    def __init__(self, engine: Engine, runner: Runner) -> None:
        self._engine: Final = engine
        self._runner: Final = runner
        self._ticks = 0
        self._durable = True
        """Whether what was appended last is."""
        runner.every_tick(self._look)

    def _look(self) -> None:
        self._ticks += 1
        if self._ticks % LOOK_TICKS or not self._durable or not self._engine.housekeeping.has_room:
            return
        acts = self._engine.acts
        acts.logged()  # Where removing the notes failed before.
        if names := acts.due(starting=False):
            with self._runner.whole():
                acts.log(names, self._engine.state.next_offset, self._engine.write_path.record)
            if self._engine.housekeeping.policy is not None:
                self._engine.housekeeping.policy.recorded(self._engine.write_path.last_offset)
            self._durable = False
            self._runner.after_all(self._settle)

    def _settle(self) -> None:
        """All that was appended is durable."""
        self._durable = True
        with suppress(OSError):  # The next look tries again; until then nothing else is logged.
            self._engine.acts.logged()
