"""Batches from calls of many threads, run by one worker: whatever waits while it is busy goes together next."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class BatchObserver(Protocol):
    """Is told how calls fare in the queue."""

    def queued(self, items: int) -> None:
        """Take note of how many items wait now."""

    def started(self, kind: str, items: int, waited_seconds: Sequence[float]) -> None:
        """Take note of a batch, and of how long each of its calls had waited."""


@dataclass(frozen=True, eq=False)
class _Call(Generic[Item, Answer]):
    kind: str
    items: Sequence[Item]
    answers: "Future[list[Answer]]" = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


class Batcher(Generic[Item, Answer]):
    """Runs calls of the same kind together.

    There is no waiting for company: a call that finds the worker idle is run at once, alone.

    Args:
        run: Takes a kind and items of it, and returns an answer for each.
        most: Largest batch, unless a single call is larger.
        observer: Told of queue and batches.
    """

    def __init__(
        self, run: Callable[[str, Sequence[Item]], Sequence[Answer]], most: int, observer: BatchObserver | None = None
    ) -> None:
        self._run, self._most, self._observer = run, most, observer
        self._waiting: deque[_Call[Item, Answer]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="batches", daemon=True)
        self._worker.start()

    def __call__(self, kind: str, items: Sequence[Item]) -> list[Answer]:
        """Return an answer for each item, after waiting for the worker.

        Raises:
            RuntimeError: The batcher was closed.
        """
        call: _Call[Item, Answer] = _Call(kind, items)
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher was closed")
            self._waiting.append(call)
            self._observe_queue()
            self._changed.notify()
        return call.answers.result()

    def close(self) -> None:
        """Answer what waits, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._worker.join()

    @property
    def is_alive(self) -> bool:
        """Whether calls are answered."""
        return self._worker.is_alive()

    def _work(self) -> None:
        while calls := self._next_batch():
            self._answer(calls)

    def _next_batch(self) -> list[_Call[Item, Answer]]:
        """Return the call that has waited longest and those of its kind that fit beside it; none once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            first = self._waiting.popleft()
            batch, room = [first], self._most - len(first.items)
            for call in list(self._waiting):
                if call.kind == first.kind and len(call.items) <= room:
                    self._waiting.remove(call)
                    batch.append(call)
                    room -= len(call.items)
            self._observe_queue()
        if self._observer is not None:
            now = time.perf_counter()
            self._observer.started(first.kind, self._most - room, [now - call.since for call in batch])
        return batch

    def _answer(self, calls: Sequence[_Call[Item, Answer]]) -> None:
        items = [item for call in calls for item in call.items]
        try:
            answers = list(self._run(calls[0].kind, items))
        except Exception as error:
            # It belongs to a caller, not to this thread. To find out whose it is, each runs alone.
            if len(calls) == 1:
                calls[0].answers.set_exception(error)
                return
            for call in calls:
                self._answer([call])
            return
        start = 0
        for call in calls:
            call.answers.set_result(answers[start : start + len(call.items)])
            start += len(call.items)

    def _observe_queue(self) -> None:
        if self._observer is not None:
            self._observer.queued(sum(len(call.items) for call in self._waiting))
