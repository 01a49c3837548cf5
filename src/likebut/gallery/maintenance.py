"""Which search effort a gallery needs: recall against exact search and latency, measured on the gallery itself."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from likebut.errors import LikebutError
from likebut.gallery.scoring import l2_normalise
from likebut.gallery.search import search_page
from likebut.gallery.store import GalleryStore, SearchEffort, Vector

_PROBES = (5, 10, 20, 40, 60)
_CANDIDATES = (1, 2, 4)
_SAMPLED = 2000


@dataclass(frozen=True, slots=True)
class Trial:
    """What a search effort gives.

    Attributes:
        effort: None for exact search.
        recall: Share of the exact search's first ten that it finds, on average.
        median_ms: Of the store's part of a search.
        p95_ms: Likewise, 95th percentile.
    """

    effort: SearchEffort | None
    recall: float
    median_ms: float
    p95_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return the trial as a JSON object; an exact search has no effort."""
        effort = asdict(self.effort) if self.effort is not None else None
        return {"effort": effort, "recall@10": self.recall, "median_ms": self.median_ms, "p95_ms": self.p95_ms}


def sample_queries(store: GalleryStore, count: int, rng: np.random.Generator) -> list[Vector]:
    """Return queries (E,) that lie between two images of the gallery, as composed queries do."""
    total = store.count()
    if total == 0:
        return []
    start = int(rng.integers(0, max(1, total - _SAMPLED + 1)))
    ids = [image.id for image in store.page(_SAMPLED, start)]
    chosen = [ids[position] for position in rng.integers(0, len(ids), 2 * count)]
    embeddings = store.embeddings(list(dict.fromkeys(chosen)))
    pooled = [l2_normalise(embeddings[image_id].astype(np.float32).mean(axis=0)) for image_id in chosen]
    return [l2_normalise(first + second) for first, second in zip(pooled[::2], pooled[1::2], strict=True)]


def tune(store: GalleryStore, queries: Sequence[Vector], k: int = 10) -> list[Trial]:
    """Return what exact search and each effort tried give, exact search first."""
    truth: list[set[str]] = []
    times: list[float] = []
    for query in queries:
        started = time.perf_counter()
        truth.append({hit.id for hit in search_page(store, query, k, group_duplicates=False, exact=True).hits})
        times.append(time.perf_counter() - started)
    trials = [_trial(None, [1.0], times)]
    if store.health().search == "exact":
        return trials
    usual = SearchEffort.usual(store.identity.tokens)
    for probes in _PROBES:
        for factor in _CANDIDATES:
            effort = SearchEffort(probes, usual.refine, factor * usual.candidates)
            trials.append(_measure(store, queries, truth, effort, k))
    return trials


def choose(trials: Sequence[Trial], least_recall: float = 0.99) -> Trial:
    """Return the fastest effort that finds enough, or the one that finds most."""
    efforts = [trial for trial in trials if trial.effort is not None] or list(trials)
    enough = [trial for trial in efforts if trial.recall >= least_recall]
    return min(enough, key=lambda trial: trial.median_ms) if enough else max(efforts, key=lambda trial: trial.recall)


def _measure(
    store: GalleryStore, queries: Sequence[Vector], truth: Sequence[set[str]], effort: SearchEffort, k: int
) -> Trial:
    recalls, times = [], []
    for query, expected in zip(queries, truth, strict=True):
        started = time.perf_counter()
        page = search_page(store, query, k, group_duplicates=False, effort=effort)
        times.append(time.perf_counter() - started)
        recalls.append(len(expected.intersection(hit.id for hit in page.hits)) / max(1, len(expected)))
    return _trial(effort, recalls, times)


def _trial(effort: SearchEffort | None, recalls: Sequence[float], times: Sequence[float]) -> Trial:
    median, p95 = np.percentile(np.asarray(times) * 1000, [50, 95])
    return Trial(effort, float(np.mean(recalls)), float(median), float(p95))


_log = logging.getLogger(__name__)


class Tidying:
    """Runs a task in a thread of its own, unless it is running already.

    Args:
        task: What tidies.
    """

    def __init__(self, task: Callable[[], None]) -> None:
        self._task = task
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Begin, and return at once."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="optimise gallery")
                self._thread.start()

    def wait(self) -> None:
        """Wait for what goes on."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._task()
        except LikebutError as error:
            # Searches find all without it, and the next change begins it again.
            _log.warning("%s %s", error.problem, error.remedy)
