"""What can be asked of a store while it runs, without a child: to seal its log, and the fingerprint of its tables.

Laws: nothing here keeps calls waiting for longer than a slice. Both are of an offset, and who tells of it waits until
that is durable.
"""

import asyncio
from typing import Final

from store.engine.engine import Engine
from store.engine.live_fingerprint import Fingerprinted, LiveFingerprint
from store.errors import Overloaded
from store.ids import Offset
from store.log.format import SEGMENT_HEADER_SIZE
from store.server.runner import Runner

SEAL_ATTEMPTS_MAX: Final = 50
"""Syncs after which sealing is given up: each time something more was on its way to the disk."""
SLICE_PAUSE_S: Final = 0.004
"""Between two slices of a live fingerprint: four fifths of the time are for calls."""


class Live:
    """Seals one store's log and takes its fingerprint, for any number of askers."""

    def __init__(self, engine: Engine, runner: Runner) -> None:
        self._engine: Final = engine
        self._runner: Final = runner
        self._loop: Final = asyncio.get_running_loop()
        self._live: Final = LiveFingerprint(engine.state, engine.feed, engine.world.clock)
        self._stepping = False
        self.slice_max_s = 0.0
        """The longest slice of the newest fingerprint."""

    async def fingerprint(self) -> Fingerprinted:
        """The live fingerprint, at the offset where the pass began. Overloaded where too much is written meanwhile."""
        told: asyncio.Future[Fingerprinted] = self._loop.create_future()

        def tell(result: Fingerprinted) -> None:
            if not told.done():
                told.set_result(result)

        self._live.ask(tell)
        if not self._stepping:
            self._stepping = True
            self._loop.call_soon(self._step)
        try:
            result = await told
        except asyncio.CancelledError:
            self._live.forget(tell)
            raise
        self.slice_max_s = result.slice_max_ms / 1000
        if result.reason:
            raise Overloaded(result.reason)
        return result

    async def seal(self) -> Offset:
        """Close the open segment behind all that is appended by now; returns the offset through which it is sealed."""
        log = self._engine.log
        for _ in range(SEAL_ATTEMPTS_MAX):
            sealed: asyncio.Future[Offset | None] = self._loop.create_future()

            def act(sealed: "asyncio.Future[Offset | None]" = sealed) -> None:
                # Right behind a sync: everything that was flushed is durable, and nothing is on its way.
                durable = log.durable_offset
                done = self._engine.housekeeping.seal() or log.position == SEGMENT_HEADER_SIZE
                if not sealed.done():  # Whoever asked may have left; an error here would end the process.
                    sealed.set_result(durable if done else None)

            self._runner.after_all(act)
            offset = await sealed
            if offset is not None:
                return offset
            if not self._engine.housekeeping.has_room:
                raise Overloaded("the disk is full: there is no room for another segment", hint="Make space")
        raise Overloaded("the disk was never idle for a moment", hint="Try again at a quieter time")

    def _step(self) -> None:
        """One slice of the live fingerprint, and the next one a little later."""
        self._stepping = self._live.step()
        if self._stepping:
            self._loop.call_later(SLICE_PAUSE_S, self._step)
