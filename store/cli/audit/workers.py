"""Batches read by several processes at once: each opens the store itself and answers for one batch at a time.

Laws: a short trail is read here, because a process takes longer to start than a batch to read. Answers come in the
order of the tasks, and only so many are under way, so memory does not grow with the trail.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Final

from store.audit.reading.verifying.batch import Checked, Task
from store.audit.reading.verifying.trail import Run, work_of
from store.cli.audit.trails import Source
from store.env.worm import WormStore

ALONE: Final = 16
"""Batches that are read before other processes are started."""
AHEAD: Final = 2
"""Batches under way for each process."""


def batches_by(jobs: int, source: Source, store: WormStore) -> Run:
    """Reads batches, on so many cores."""

    def run(tasks: Iterator[Task]) -> Iterator[Checked]:
        yield from map(work_of(store), tasks if jobs < 2 else islice(tasks, ALONE))
        first = next(tasks, None)
        if first is None:
            return
        context = multiprocessing.get_context("spawn")  # A fork would share the threads and sockets of this process.
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_open, initargs=(source,)) as pool:
            under_way: deque[Future[Checked]] = deque([pool.submit(_work, first)])
            try:
                for task in tasks:
                    under_way.append(pool.submit(_work, task))
                    if len(under_way) >= AHEAD * jobs:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for each in under_way:
                    each.cancel()

    return run


_here: Final[list[Callable[[Task], Checked]]] = []
"""In another process: what reads a batch there."""


def _open(source: Source) -> None:
    _here[:] = [work_of(source.open())]


def _work(task: Task) -> Checked:
    return _here[0](task)
