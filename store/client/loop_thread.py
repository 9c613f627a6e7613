"""An event loop that runs in a thread of its own, for those who have none.

Laws: what is asked is made and runs on the loop's thread. Whoever waits is answered, also where the loop ends
meanwhile. After the end nothing runs there: what is asked then is answered at once, on the thread that asks, by objects
that are closed and so wait for nothing.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from store.client.errors import closed

Returned = TypeVar("Returned")


class LoopThread:
    """The loop and its thread. Past `timeout_s` seconds a limited wait ends; None: never."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s: Final = timeout_s
        self._loop: Final = asyncio.new_event_loop()
        self._lock: Final = threading.RLock()
        """Held where something is handed to the loop, and where it is said that nothing may be any more."""
        self._ended = False
        self._thread: Final = threading.Thread(target=self._loop.run_forever, name="store-client", daemon=True)
        self._thread.start()

    @property
    def here(self) -> bool:
        """Whether this is that thread."""
        return threading.current_thread() is self._thread

    def wait(self, ask: Callable[[], Awaitable[Returned]]) -> Returned:
        """Ask there and wait for the answer here. TimeoutError past the limit; else as `wait_long`."""

        async def limited() -> Returned:
            limit_s = None if self._ended else self._timeout_s  # Where no loop runs there is no timer, and no wait.
            if limit_s is None:
                return await ask()
            try:
                async with asyncio.timeout(limit_s) as limit:
                    return await ask()
            except TimeoutError as error:
                if not limit.expired():
                    raise
                said = f"no answer within {limit_s} s (timeout_s): a call may have been done or not"
                raise TimeoutError(f"{said}. Look before calling again") from error

        return self._wait(limited)

    def wait_long(self, ask: Callable[[], Awaitable[Returned]]) -> Returned:
        """As `wait`, without a limit. OutcomeUnknown: the client was closed meanwhile.

        RuntimeError: called by a callback, on the very thread that would do it.
        """

        async def unlimited() -> Returned:
            return await ask()

        return self._wait(unlimited)

    def do(self, act: Callable[[], Returned]) -> Returned:
        """Do it on the loop's thread, which may be this one."""

        async def acting() -> Returned:
            return act()

        return act() if self.here else self._wait(acting)

    def stop(self) -> None:
        """End the loop and its thread. Whoever waits for something there is answered first."""
        with self._lock:
            self._ended = True
        try:
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _wait(self, work: Callable[[], Coroutine[Any, Any, Returned]]) -> Returned:
        if self.here:
            raise RuntimeError(
                "a callback runs on the client's own thread, where nothing can be waited for: use a queue"
            )
        future = self._hand_over(work)
        if future is None:
            return self._answer_here(work)
        try:
            return future.result()
        except CancelledError:
            raise closed() from None
        except BaseException:
            future.cancel()  # A key press ends the wait there as well.
            raise

    def _hand_over(self, work: Callable[[], Coroutine[Any, Any, Returned]]) -> Future[Returned] | None:
        """Have the loop run it; None where it has ended."""
        with self._lock:
            return None if self._ended else asyncio.run_coroutine_threadsafe(work(), self._loop)

    def _answer_here(self, work: Callable[[], Coroutine[Any, Any, Returned]]) -> Returned:
        self._thread.join()
        with self._lock:
            answering = work()
            try:
                answering.send(None)
            except StopIteration as answered:
                return answered.value  # type: ignore[no-any-return]  # A coroutine's own.
            finally:
                answering.close()
        raise closed()

    async def _finish(self) -> None:
        """Nothing new comes: end what still runs, and have it told to those who wait."""
        await asyncio.sleep(0)  # Who was answered already takes the answer first.
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
