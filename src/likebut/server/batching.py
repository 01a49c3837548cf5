"""Dynamic batching: one worker thread runs the calls of many threads; calls that wait are batched together."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from PIL import Image

from likebut.gallery.identity import Embedder, Embeddings, ModelIdentity
from likebut.server.metrics import Metrics

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_QUERIES = 32
_MAX_IMAGES = 8  # small, so that searches are interleaved with the encoding of added images


class BatchObserver(Protocol):
    """Observes the queue of a :class:`Batcher`."""

    def queued(self, items: int) -> None:
        """Record the number of items that wait."""

    def started(self, kind: str, items: int, waited_seconds: Sequence[float]) -> None:
        """Record the start of a batch and the time each of its calls waited."""


@dataclass(frozen=True, eq=False)
class _Call(Generic[Item, Result]):
    kind: str
    items: Sequence[Item]
    results: "Future[list[Result]]" = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


class Batcher(Generic[Item, Result]):
    """Batches concurrent calls of the same kind.

    A call is never delayed to fill a batch: when the worker is idle it runs at once, alone.

    Args:
        run: Takes a kind and items of that kind; returns one result per item.
        max_items: Largest batch, unless a single call is larger.
        observer: Observes the queue and the batches.
    """

    def __init__(
        self,
        run: Callable[[str, Sequence[Item]], Sequence[Result]],
        max_items: int,
        observer: BatchObserver | None = None,
    ) -> None:
        self._run, self._max_items, self._observer = run, max_items, observer
        self._waiting: deque[_Call[Item, Result]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="batches", daemon=True)
        self._worker.start()

    def __call__(self, kind: str, items: Sequence[Item]) -> list[Result]:
        """Return one result per item; blocks until the worker has computed them.

        Raises:
            RuntimeError: The batcher is closed.
        """
        call: _Call[Item, Result] = _Call(kind, items)
        with self._changed:
            if self._closed:
                raise RuntimeError("the batcher is closed")
            self._waiting.append(call)
            self._observe_queue()
            self._changed.notify()
        return call.results.result()

    def close(self) -> None:
        """Run the waiting calls, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._worker.join()

    @property
    def is_alive(self) -> bool:
        """Whether the worker thread runs."""
        return self._worker.is_alive()

    def _work(self) -> None:
        while calls := self._next_batch():
            self._run_batch(calls)

    def _next_batch(self) -> list[_Call[Item, Result]]:
        """Return the oldest call and the waiting calls of its kind that fit into the batch; empty when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            first = self._waiting.popleft()
            batch, room = [first], self._max_items - len(first.items)
            for call in list(self._waiting):
                if call.kind == first.kind and len(call.items) <= room:
                    self._waiting.remove(call)
                    batch.append(call)
                    room -= len(call.items)
            self._observe_queue()
        if self._observer is not None:
            now = time.perf_counter()
            self._observer.started(first.kind, self._max_items - room, [now - call.since for call in batch])
        return batch

    def _run_batch(self, calls: Sequence[_Call[Item, Result]]) -> None:
        items = [item for call in calls for item in call.items]
        try:
            results = list(self._run(calls[0].kind, items))
        except Exception as error:
            # The error belongs to one of the callers; running each call alone finds out which.
            if len(calls) == 1:
                calls[0].results.set_exception(error)
                return
            for call in calls:
                self._run_batch([call])
            return
        start = 0
        for call in calls:
            call.results.set_result(results[start : start + len(call.items)])
            start += len(call.items)

    def _observe_queue(self) -> None:
        if self._observer is not None:
            self._observer.queued(sum(len(call.items) for call in self._waiting))


def release_cores() -> int:
    """Restrict PyTorch in the calling thread to one core; return the number of cores it used, for another thread.

    Every thread that computes with PyTorch on several cores starts an OpenMP pool of its own. Once there are more
    OpenMP threads than cores, they no longer spin-wait for each other, and a query takes 120 ms instead of 60. So the
    thread that loads the model calls this first, and the thread that serves takes the cores.
    """
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    return cores


class BatchedEmbedder:
    """An embedder that runs another one in a single thread, in batches.

    One thread also keeps concurrent searches from competing for the CPU's cores.

    Args:
        embedder: The embedder to run.
        metrics: Observes the queue and the batches.
        cores: Number of PyTorch threads for that thread; None keeps PyTorch's default. See :func:`release_cores`.
    """

    def __init__(self, embedder: Embedder, metrics: Metrics, cores: int | None = None) -> None:
        self._embedder = embedder
        self._cores_to_take = cores
        self._batcher: Batcher[tuple[Image.Image | None, str], Any] = Batcher(self._embed, _MAX_QUERIES, metrics)

    @property
    def identity(self) -> ModelIdentity:
        """The identity that a gallery records."""
        return self._embedder.identity

    @property
    def query_tokens(self) -> int:
        """N, the number of embeddings per image."""
        return self._embedder.query_tokens

    @property
    def embedding_size(self) -> int:
        """E, the width of an embedding."""
        return self._embedder.embedding_size

    @property
    def is_alive(self) -> bool:
        """Whether the worker thread runs."""
        return self._batcher.is_alive

    def embed_images(self, images: Sequence[Image.Image]) -> Embeddings:
        """Return (B, N, E) target embeddings of RGB images."""
        parts = [images[start : start + _MAX_IMAGES] for start in range(0, len(images), _MAX_IMAGES)]
        rows = [row for part in parts for row in self._batcher("images", [(image, "") for image in part])]
        return np.stack(rows)

    def embed_queries(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Embeddings:
        """Return (B, E) composed queries of reference images and modification texts."""
        return np.stack(self._batcher("queries", list(zip(images, texts, strict=True))))

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return (B, E) text-only queries."""
        return np.stack(self._batcher("texts", [(None, text) for text in texts]))

    def is_truncated(self, text: str) -> bool:
        """Return whether a text has more tokens than the model reads, so that its end is ignored."""
        return self._embedder.is_truncated(text)

    def close(self) -> None:
        """Run the waiting calls, then stop."""
        self._batcher.close()

    def _embed(self, kind: str, items: Sequence[tuple[Image.Image | None, str]]) -> list[Any]:
        if self._cores_to_take is not None:
            torch.set_num_threads(self._cores_to_take)  # of the calling thread, which is always the one worker
            self._cores_to_take = None
        images = [image for image, _ in items if image is not None]
        texts = [text for _, text in items]
        if kind == "images":
            return list(self._embedder.embed_images(images))
        if kind == "queries":
            return list(self._embedder.embed_queries(images, texts))
        return list(self._embedder.embed_texts(texts))
