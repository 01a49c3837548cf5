"""Batches made in a background thread while the model works on the one before."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from likebut.training.devices import pinned

_BATCHES_AHEAD = 2


@contextmanager
def prefetched(make: Callable[[int], Any], steps: range, pin: bool = False) -> Iterator[Iterator[Any]]:
    """Yield an iterator over ``make(step)`` for every step, made up to two ahead.

    An error in ``make`` is raised where its batch is asked for. Leaving the block ends the thread.

    Args:
        make: Returns a batch; called in one background thread, in the order of ``steps``.
        steps: The batches wanted.
        pin: Whether tensors are put into page-locked memory.
    """

    def work(step: int) -> Any:
        batch = make(step)
        return pinned(batch) if pin else batch

    def read() -> Iterator[Any]:
        waiting: deque[Future[Any]] = deque()
        for step in steps:
            waiting.append(pool.submit(work, step))
            if len(waiting) > _BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        yield read()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
