"""A processor's cores side by side: each computes a part of the work alone."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


class Cores:
    """As many threads as PyTorch takes cores, in each of which it takes one.

    PyTorch shares every layer out among its threads and waits for the slowest of them before it goes on to the next.
    For layers of a millisecond that costs as much as it gains, and many times more where other programs take turns on
    the cores: with two cores under load, 2 photographs a second were indexed that way. Parts that need not wait for
    each other lose nothing. The threads start with the first work that has several parts.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()
        self._process = os.getpid()

    def map(self, work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
        """Return what ``work`` makes of each part, in order; a single part is computed here, on all cores."""
        listed = list(parts)
        count = torch.get_num_threads()
        if count == 1 or len(listed) < 2:
            return [work(part) for part in listed]
        return list(self._threads(count).map(work, listed))

    def _threads(self, count: int) -> ThreadPoolExecutor:
        if self._process != os.getpid():
            # A forked process has the pool and none of its threads, and perhaps a lock that nobody will open.
            self._pool, self._starting, self._process = None, threading.Lock(), os.getpid()
        with self._starting:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(count, "core")
                everyone = threading.Barrier(count)
                list(self._pool.map(_compute_alone, [everyone] * count))
                # The number is each thread's own, but a thread that is yet to come takes the number set last.
                torch.set_num_threads(count)
            return self._pool


def _compute_alone(everyone: threading.Barrier) -> None:
    torch.get_num_threads()  # takes the common number; would do so later, and undo what follows, if not now
    torch.set_num_threads(1)
    everyone.wait()
