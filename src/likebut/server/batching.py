"""Batches from calls of many threads, run by one worker: whatever waits while it is busy goes together next."""

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


_MOST_QUERIES = 32
# Small, so that searches get their turn while many pictures are being added.
_MOST_IMAGES = 8


def leave_cores() -> int:
    """Let the calling thread compute alone from now on; return how many cores it leaves to another.

    Every thread that computes with PyTorch on several cores brings threads of its own. Once there are more of them
    than cores, OpenMP no longer lets them wait awake for each other, and a query of 60 ms takes 120. So the thread that
    loads the model calls this before, and the one that serves takes the cores.
    """
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    return cores


class BatchedEmbedder:
    """Hands everything to one thread, which also keeps searches from fighting for the processor's cores.

    Args:
        embedder: Does the work.
        metrics: Told of queue and batches.
        cores: How many that thread takes; None leaves it at PyTorch's own number. See :func:`leave_cores`.
    """

    def __init__(self, embedder: Embedder, metrics: Metrics, cores: int | None = None) -> None:
        self._embedder = embedder
        self._cores_to_take = cores
        self._batcher: Batcher[tuple[Image.Image | None, str], Any] = Batcher(self._embed, _MOST_QUERIES, metrics)

    @property
    def identity(self) -> ModelIdentity:
        """What a gallery records."""
        return self._embedder.identity

    @property
    def query_tokens(self) -> int:
        """N, the embeddings of an image."""
        return self._embedder.query_tokens

    @property
    def embedding_size(self) -> int:
        """E, the width of an embedding."""
        return self._embedder.embedding_size

    @property
    def is_alive(self) -> bool:
        """Whether calls are answered."""
        return self._batcher.is_alive

    def embed_images(self, images: Sequence[Image.Image]) -> Embeddings:
        """Return (n, N, E) target embeddings of RGB images."""
        parts = [images[start : start + _MOST_IMAGES] for start in range(0, len(images), _MOST_IMAGES)]
        rows = [row for part in parts for row in self._batcher("images", [(image, "") for image in part])]
        return np.stack(rows)

    def embed_queries(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Embeddings:
        """Return (n, E) composed queries of reference images and their modification texts."""
        return np.stack(self._batcher("queries", list(zip(images, texts, strict=True))))

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return (n, E) queries from texts alone."""
        return np.stack(self._batcher("texts", [(None, text) for text in texts]))

    def is_truncated(self, text: str) -> bool:
        """Return whether a text has more tokens than the model reads, so that its end is ignored."""
        return self._embedder.is_truncated(text)

    def close(self) -> None:
        """Answer what waits, then stop."""
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
