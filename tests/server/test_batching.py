import threading
from collections.abc import Sequence
from typing import cast

import pytest

from likebut.server.batching import Batcher


class Recorder:
    """Squares numbers once it is let go, and remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.released = threading.Event()

    def __call__(self, kind: str, items: Sequence[int]) -> list[int]:
        self.batches.append((kind, list(items)))
        assert self.released.wait(10)
        if 13 in items:
            raise ValueError("13")
        return [item**2 for item in items]


class Observer:
    def __init__(self) -> None:
        self.depths: list[int] = []
        self.started_batches: list[tuple[str, int, int]] = []

    def queued(self, items: int) -> None:
        self.depths.append(items)

    def started(self, kind: str, items: int, waited_seconds: Sequence[float]) -> None:
        assert all(seconds >= 0 for seconds in waited_seconds)
        self.started_batches.append((kind, items, len(waited_seconds)))


def calls_while_busy(
    run: Recorder, batcher: Batcher[int, int], observer: Observer, calls: list[tuple[str, list[int]]]
) -> list[list[int] | Exception]:
    """Make one call that keeps the worker busy, the others in order meanwhile, and return the others' responses."""
    responses: list[list[int] | Exception] = [[] for _ in calls]

    def make(number: int) -> None:
        try:
            responses[number] = batcher(*calls[number])
        except ValueError as error:
            responses[number] = error

    first = threading.Thread(target=lambda: batcher("busy", [0]))
    first.start()
    while not run.batches:
        pass
    threads = []
    for number, (_, items) in enumerate(calls):
        depth = observer.depths[-1]
        threads.append(threading.Thread(target=make, args=(number,)))
        threads[-1].start()
        while observer.depths[-1] != depth + len(items):
            pass
    run.released.set()
    for thread in (first, *threads):
        thread.join(10)
    batcher.close()
    return responses


def test_waiting_calls_are_batched_by_kind_up_to_the_limit() -> None:
    run, observer = Recorder(), Observer()
    calls = [("a", [1]), ("b", [2, 3]), ("a", [4, 5]), ("a", [6, 7, 8]), ("b", [9]), ("a", [10])]
    responses = calls_while_busy(run, Batcher(run, 4, observer), observer, calls)
    assert responses == [[1], [4, 9], [16, 25], [36, 49, 64], [81], [100]]
    assert run.batches[1:] == [("a", [1, 4, 5, 10]), ("b", [2, 3, 9]), ("a", [6, 7, 8])]
    assert observer.started_batches == [("busy", 1, 1), ("a", 4, 3), ("b", 3, 2), ("a", 3, 1)]
    assert observer.depths[-1] == 0


def test_oversized_call_runs_alone() -> None:
    run, observer = Recorder(), Observer()
    responses = calls_while_busy(run, Batcher(run, 2, observer), observer, [("a", [1, 2, 3]), ("a", [4])])
    assert responses == [[1, 4, 9], [16]] and run.batches[1:] == [("a", [1, 2, 3]), ("a", [4])]


def test_failure_reaches_only_its_caller() -> None:
    run, observer = Recorder(), Observer()
    good, bad, other = calls_while_busy(run, Batcher(run, 8, observer), observer, [("a", [1]), ("a", [13]), ("a", [3])])
    assert good == [1] and other == [9]
    assert isinstance(bad, ValueError)


def test_idle_worker_runs_at_once() -> None:
    run = Recorder()
    run.released.set()
    batcher = Batcher(run, 8)
    assert batcher("a", [2]) == [4] and batcher("a", [3]) == [9]
    assert run.batches == [("a", [2]), ("a", [3])]
    assert batcher.is_alive
    batcher.close()
    assert not batcher.is_alive
    with pytest.raises(RuntimeError):
        batcher("a", [1])


def test_worker_takes_the_released_cores() -> None:
    import torch

    from likebut.gallery.identity import Embedder
    from likebut.server.batching import BatchedEmbedder, release_cores
    from likebut.server.metrics import Metrics

    seen = []

    class Counting:
        def embed_texts(self, texts):
            seen.append(torch.get_num_threads())
            return [0.0 for _ in texts]

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        cores = release_cores()
        assert torch.get_num_threads() == 1
        embedder = BatchedEmbedder(cast(Embedder, Counting()), Metrics(), cores)
        embedder.embed_texts(["a"])
        embedder.embed_texts(["b"])
        embedder.close()
    finally:
        torch.set_num_threads(before)
    assert seen == [3, 3]
