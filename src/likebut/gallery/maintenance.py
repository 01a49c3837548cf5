"""Tuning the search effort of a gallery against exact search, and optimising its store in the background."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from likebut.errors import LikebutError
from likebut.gallery.search import search_page
from likebut.gallery.similarity import l2_normalise
from likebut.gallery.store import GalleryStore, SearchEffort, Vector

_PROBES = (5, 10, 20, 40, 60)
_CANDIDATE_FACTORS = (1, 2, 4)
_SAMPLED_IMAGES = 2000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trial:
    """Recall and latency of a search effort.

    Attributes:
        effort: None for exact search.
        recall: Mean recall@k against exact search.
        median_ms: Median latency of the store.
        p95_ms: 95th percentile of the latency.
    """

    effort: SearchEffort | None
    recall: float
    median_ms: float
    p95_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return the trial as a JSON object."""
        effort = asdict(self.effort) if self.effort is not None else None
        return {"effort": effort, "recall@10": self.recall, "median_ms": self.median_ms, "p95_ms": self.p95_ms}


def sample_queries(store: GalleryStore, count: int, rng: np.random.Generator) -> list[Vector]:
    """Return queries, (E,) each, halfway between two random images, similar to composed queries."""
    total = store.count()
    if total == 0:
        return []
    start = int(rng.integers(0, max(1, total - _SAMPLED_IMAGES + 1)))
    ids = [image.id for image in store.page(_SAMPLED_IMAGES, start)]
    chosen = [ids[position] for position in rng.integers(0, len(ids), 2 * count)]
    embeddings = store.embeddings(list(dict.fromkeys(chosen)))
    pooled = [l2_normalise(embeddings[image_id].astype(np.float32).mean(axis=0)) for image_id in chosen]
    return [l2_normalise(first + second) for first, second in zip(pooled[::2], pooled[1::2], strict=True)]


def tune(store: GalleryStore, queries: Sequence[Vector], k: int = 10) -> list[Trial]:
    """Measure exact search, which comes first, and each search effort of a grid."""
    exact = [_timed_search(store, query, k, exact=True) for query in queries]
    truth = [ids for ids, _ in exact]
    trials = [_trial(None, [1.0], [seconds for _, seconds in exact])]
    if store.health().search == "exact":
        return trials
    default = SearchEffort.default(store.identity.tokens)
    for probes in _PROBES:
        for factor in _CANDIDATE_FACTORS:
            effort = SearchEffort(probes, default.refine, factor * default.candidates)
            found = [_timed_search(store, query, k, effort=effort) for query in queries]
            recalls = [
                len(expected & ids) / max(1, len(expected)) for expected, (ids, _) in zip(truth, found, strict=True)
            ]
            trials.append(_trial(effort, recalls, [seconds for _, seconds in found]))
    return trials


def choose(trials: Sequence[Trial], least_recall: float = 0.99) -> Trial:
    """Return the fastest effort with at least ``least_recall``, or else the one with the highest recall."""
    efforts = [trial for trial in trials if trial.effort is not None] or list(trials)
    enough = [trial for trial in efforts if trial.recall >= least_recall]
    return min(enough, key=lambda trial: trial.median_ms) if enough else max(efforts, key=lambda trial: trial.recall)


class BackgroundTask:
    """Runs a task in a thread, at most once at a time; a failure is logged as a warning.

    Args:
        task: The work.
    """

    def __init__(self, task: Callable[[], None]) -> None:
        self._task = task
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the task, unless it is running, and return at once."""
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="optimise gallery")
                self._thread.start()

    def wait(self) -> None:
        """Wait until the task is not running."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._task()
        except LikebutError as error:
            # Optimising only affects speed, and the next change starts it again.
            _log.warning("%s %s", error.problem, error.remedy)


def _timed_search(
    store: GalleryStore, query: Vector, k: int, exact: bool = False, effort: SearchEffort | None = None
) -> tuple[set[str], float]:
    started = time.perf_counter()
    page = search_page(store, query, k, group_duplicates=False, exact=exact, effort=effort)
    return {hit.id for hit in page.hits}, time.perf_counter() - started


def _trial(effort: SearchEffort | None, recalls: Sequence[float], seconds: Sequence[float]) -> Trial:
    median, p95 = np.percentile(np.asarray(seconds) * 1000, [50, 95])
    return Trial(effort, float(np.mean(recalls)), float(median), float(p95))
