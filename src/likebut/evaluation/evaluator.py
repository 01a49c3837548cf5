"""The evaluator: embed the gallery once, embed the queries, rank, and compute the benchmark's metrics."""

import itertools
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError, LikebutError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.layout import require_choice
from likebut.evaluation.benchmarks.loading import require_galleries
from likebut.evaluation.embedding import (
    QUERY_MODES,
    RetrieverAdapter,
    cached_tokens,
    needed_images,
    require_images,
    uncached_tokens,
)
from likebut.evaluation.metrics import (
    MEAN,
    QueryOutcome,
    compute_metrics,
    higher_is_better,
    mean_recall,
    missed_outcome,
    outcome_from_scores,
)
from likebut.evaluation.ranking import GalleryRows, QueryRank, rank_candidates
from likebut.evaluation.report import EvaluationReport, build_report
from likebut.files import fingerprint
from likebut.progress import Meter, track
from likebut.retriever.retriever import Retriever

EmbedGallery = Callable[[list[ImageRef]], npt.NDArray[Any]]
"""n images → (n, N, E)."""
EmbedQueries = Callable[[list[Query]], npt.NDArray[Any]]
"""n queries → (n, E)."""

RANKING_LENGTH = 50

Item = TypeVar("Item")


@dataclass(frozen=True)
class Rankings:
    """The best-ranked names for each query; empty for a query whose reference image cannot be used.

    Attributes:
        gallery: The best candidates, at most :data:`RANKING_LENGTH` unless the benchmark needs complete rankings.
        subset: The query's subset, best first; empty where it has none.
    """

    gallery: list[list[str]]
    subset: list[list[str]]


@dataclass(frozen=True)
class RankedBenchmark:
    """A benchmark with its rankings and the outcome of each query."""

    benchmark: Benchmark
    rankings: Rankings
    outcomes: list[QueryOutcome]


class BenchmarkRanker:
    """Ranks a benchmark's gallery with a retriever, whether or not the labels are known.

    The constructor checks everything that can be checked without a model.

    Args:
        benchmarks: The benchmark, or its categories, as a loader returns them.
        query_mode: "composed", "text" or "image"; see :data:`QUERY_MODES`.
        batch_size: Images or queries embedded at once.
        cache: Whether to store vision tokens on disk; without, they are computed at each access.
        feature_folder: Folder of the feature caches; in the user's cache folder if None.
        allow_missing: Whether to continue without the images that have no file.

    Raises:
        InputError: A gallery is unknown, images are missing, or the query mode is unknown.
    """

    def __init__(
        self,
        benchmarks: Sequence[Benchmark],
        query_mode: str = "composed",
        batch_size: int = 32,
        cache: bool = True,
        feature_folder: Path | None = None,
        allow_missing: bool = False,
    ) -> None:
        self.benchmarks = list(benchmarks)
        self._query_mode = require_choice(query_mode, QUERY_MODES, "query mode")
        self._batch_size, self._cache, self._feature_folder = batch_size, cache, feature_folder
        require_galleries(benchmarks)
        self._missing = require_images(benchmarks, allow_missing)
        self._prepared: tuple[Retriever, RetrieverAdapter, list[SkippedImage]] | None = None

    def prepare(self, retriever: Retriever) -> list[SkippedImage]:
        """Compute the vision tokens that ``retriever`` reads; :meth:`rank` does so itself if it was not called.

        Returns:
            The images that cannot be used, the missing ones among them.
        """
        _, skipped = self._prepare(retriever)
        return skipped

    def rank(self, retriever: Retriever) -> list[RankedBenchmark]:
        """Return the rankings of every part."""
        adapter, skipped = self._prepare(retriever)
        unusable, device = {image.name for image in skipped}, str(retriever.device)
        return [
            rank(each, adapter.embed_gallery, adapter.embed_queries, unusable, self._batch_size, device)
            for each in self.benchmarks
        ]

    def _prepare(self, retriever: Retriever) -> tuple[RetrieverAdapter, list[SkippedImage]]:
        if self._prepared is None or self._prepared[0] is not retriever:
            missing = {image.name for image in self._missing}
            images = [image for image in needed_images(self.benchmarks) if image.name not in missing]
            if self._cache:
                tokens, damaged = cached_tokens(retriever, images, self._feature_folder, self._batch_size)
            else:
                tokens, damaged = uncached_tokens(retriever, images)
            adapter = RetrieverAdapter(retriever, tokens, self._query_mode)
            self._prepared = (retriever, adapter, [*self._missing, *damaged])
        return self._prepared[1:]


class CIREvaluator:
    """Evaluates a retriever on a benchmark, as often as it is called: after training, or during it.

    Example::

        evaluator = CIREvaluator(load_folder(Path("my-data"), "test"))
        metrics = evaluator(Retriever.from_pretrained("small"))
        metrics[evaluator.primary_metric]

    Args:
        benchmarks: The benchmark, or its categories, as a loader returns them.
        primary_metric: The metric by which models are compared; the mean of all recalls if None, or the benchmark's
            first metric where it has no recall.
        query_mode: As for :class:`BenchmarkRanker`; so are the further arguments.

    Attributes:
        metric_names: Every metric that a call returns.
        primary_metric: One of them.
        greater_is_better: The direction of the primary metric.

    Raises:
        InputError: The labels are hidden, the primary metric is not measured, or as :class:`BenchmarkRanker` raises.
    """

    def __init__(
        self,
        benchmarks: Sequence[Benchmark],
        primary_metric: str | None = None,
        query_mode: str = "composed",
        batch_size: int = 32,
        cache: bool = True,
        feature_folder: Path | None = None,
        allow_missing: bool = False,
    ) -> None:
        self.metric_names = list(_with_mean(dict.fromkeys(metric_names(benchmarks), 0.0)))
        default = MEAN if MEAN in self.metric_names else self.metric_names[0]
        self.primary_metric = require_choice(primary_metric or default, self.metric_names, "metric")
        self.greater_is_better = higher_is_better(self.primary_metric)
        self.ranker = BenchmarkRanker(benchmarks, query_mode, batch_size, cache, feature_folder, allow_missing)

    @property
    def benchmarks(self) -> list[Benchmark]:
        """The benchmark, or its categories."""
        return self.ranker.benchmarks

    def __call__(self, retriever: Retriever) -> dict[str, float]:
        """Return the metrics in percent by name: the benchmark's, and "Mean", the mean of all recalls."""
        report, _ = self.evaluate(retriever)
        return _with_mean(dict(report.metrics))

    def evaluate(self, retriever: Retriever) -> tuple[EvaluationReport, list[RankedBenchmark]]:
        """Return the report with confidence intervals, and the rankings that it was computed from."""
        skipped = self.ranker.prepare(retriever)
        ranked = self.ranker.rank(retriever)
        return _report(ranked, skipped), ranked

    def fingerprint(self) -> str:
        """Return a hash of what the metrics depend on besides the retriever: queries, labels and galleries."""
        return fingerprint([_compared(each) for each in self.benchmarks])


def evaluate(
    benchmarks: Sequence[Benchmark],
    embed_gallery: EmbedGallery,
    embed_queries: EmbedQueries,
    skipped: Sequence[SkippedImage] = (),
    batch_size: int = 32,
    device: str = "cpu",
) -> tuple[EvaluationReport, list[RankedBenchmark]]:
    """Evaluate any model that embeds images and queries; :class:`CIREvaluator` does this for a retriever.

    Args:
        benchmarks: The benchmark, or its categories, as a loader returns them.
        embed_gallery: As for :func:`rank`.
        embed_queries: As for :func:`rank`.
        skipped: Images that cannot be used.
        batch_size: As for :func:`rank`.
        device: As for :func:`rank`.

    Returns:
        The report, and the rankings that it was computed from.

    Raises:
        InputError: The labels are hidden, or nothing can be ranked.
    """
    for benchmark in benchmarks:
        benchmark.require_labels()
    unusable = {image.name for image in skipped}
    ranked = [rank(each, embed_gallery, embed_queries, unusable, batch_size, device) for each in benchmarks]
    return _report(ranked, skipped), ranked


def rank(
    benchmark: Benchmark,
    embed_gallery: EmbedGallery,
    embed_queries: EmbedQueries,
    skipped: Collection[str] = (),
    batch_size: int = 32,
    device: str = "cpu",
) -> RankedBenchmark:
    """Rank a benchmark's gallery, or each query's own candidates, for each of its queries.

    Gallery embeddings are stored in a temporary float16 file and read in chunks.

    Args:
        benchmark: The benchmark.
        embed_gallery: Embeds images (n, N, E).
        embed_queries: Embeds queries (n, E).
        skipped: Names of images that cannot be used. They are not candidates, and a query with a reference image among
            them retrieves nothing: it counts as a miss.
        batch_size: Images or queries embedded at once.
        device: Where to rank.

    Raises:
        InputError: No image or no query can be used.
        LikebutError: The embeddings contain NaN or Inf.
    """
    unusable = set(skipped)
    candidates = [name for name in benchmark.gallery if name not in unusable]
    usable = [query for query in benchmark.queries if unusable.isdisjoint(query.references)]
    if not candidates or not usable:
        what = "queries" if candidates else "images in the gallery"
        code = "no-usable-queries" if candidates else "no-usable-images"
        raise InputError(f"{benchmark.title} has no usable {what}.", "Check the benchmark's images.", code=code)
    positions = {name: position for position, name in enumerate(candidates)}
    with tempfile.TemporaryDirectory(prefix="likebut-") as folder:
        images = [benchmark.images[name] for name in candidates]
        gallery = _embed_gallery(images, embed_gallery, batch_size, Path(folder) / "gallery.npy")
        with track("embedding queries", total=len(usable), unit="queries") as meter:
            batches = list(_embed_batches(usable, embed_queries, batch_size, 2, meter))
        queries = np.concatenate(batches).astype(np.float32)
        ranks = _rank_queries(benchmark, usable, queries, gallery, positions, device)
        del gallery  # closes the file before its folder is deleted
    return _ranked_benchmark(benchmark, ranks, candidates, positions)


def metric_names(benchmarks: Sequence[Benchmark]) -> list[str]:
    """Return the names of the metrics that :func:`evaluate` computes, without evaluating anything.

    Raises:
        InputError: The labels are hidden.
    """
    for benchmark in benchmarks:
        benchmark.require_labels()
    missed = [(each, compute_metrics(each, [missed_outcome(query) for query in each.queries])) for each in benchmarks]
    return list(build_report(missed).metrics)


def _with_mean(metrics: dict[str, float]) -> dict[str, float]:
    mean = mean_recall(metrics)
    return metrics if mean is None else {**metrics, MEAN: mean}


def _report(ranked: Sequence[RankedBenchmark], skipped: Sequence[SkippedImage]) -> EvaluationReport:
    notes = []
    if unusable := {image.name for image in skipped}:
        misses = sum(not unusable.isdisjoint(query.references) for part in ranked for query in part.benchmark.queries)
        notes = [
            f"{len(unusable)} images could not be used, and the {misses} queries that refer to one count as misses: "
            "the metrics are not comparable with those of the whole benchmark."
        ]
    values = [(part.benchmark, compute_metrics(part.benchmark, part.outcomes)) for part in ranked]
    return build_report(values, skipped, notes, query_template=ranked[0].benchmark.query_template)


def _compared(benchmark: Benchmark) -> list[Any]:
    """Return what a benchmark's metrics depend on; fields added later count only where they are set."""
    later = ("further_references", "further_modifications")
    queries = [
        {name: value for name, value in asdict(query).items() if value or name not in later}
        for query in benchmark.queries
    ]
    compared = [benchmark.gallery, queries]
    return [*compared, benchmark.candidates] if benchmark.candidates else compared


def _rank_queries(
    benchmark: Benchmark,
    usable: Sequence[Query],
    queries: npt.NDArray[np.float32],
    gallery: npt.NDArray[np.float16],
    positions: Mapping[str, int],
    device: str,
) -> dict[str, QueryRank]:
    """Rank the usable queries, those with the same candidates together.

    Args:
        benchmark: The benchmark.
        usable: The queries.
        queries: Their embeddings (n, E).
        gallery: Embeddings (G, N, E), memory-mapped.
        positions: Image → its position in ``gallery``.
        device: Where to rank.

    Returns:
        Query id → its rank, by positions in ``gallery``. A query none of whose own candidates is usable has none.
    """
    members: dict[tuple[str, ...] | None, list[int]] = {}
    for index, query in enumerate(usable):
        members.setdefault(benchmark.candidates.get(query.id), []).append(index)
    ranks: dict[str, QueryRank] = {}
    for names, indices in members.items():
        group = [usable[index] for index in indices]
        source: npt.NDArray[np.float16] | GalleryRows = gallery
        places, rows = positions, None
        if names is not None:
            rows = sorted({positions[name] for name in names if name in positions})
            if not rows:
                continue
            row_of = {position: row for row, position in enumerate(rows)}
            places = {name: row_of[positions[name]] for name in names if name in positions}
            source = GalleryRows(gallery, np.array(rows, dtype=np.int64))
        found = rank_candidates(
            queries[indices],
            source,
            [_relevant_positions(query, benchmark, places) for query in group],
            [[places[name] for name in query.excluded if name in places] for query in group],
            top=len(source) if benchmark.plan.complete_ranking else RANKING_LENGTH,
            device=device,
            count_above=bool(benchmark.plan.negatives_at),
        )
        for query, query_rank in zip(group, found, strict=True):
            ranks[query.id] = query_rank if rows is None else query_rank.at_positions(rows)
    return ranks


def _relevant_positions(query: Query, benchmark: Benchmark, positions: Mapping[str, int]) -> list[int]:
    names = [*benchmark.credits_of(query), *query.targets, *query.subset, *query.hard_negatives]
    return [positions[name] for name in names if name in positions and name not in query.excluded]


def _embed_gallery(images: list[ImageRef], embed: EmbedGallery, batch_size: int, path: Path) -> npt.NDArray[np.float16]:
    """Embed images into a float16 file at ``path``; returns it, memory-mapped."""
    with track("embedding the gallery", total=len(images), unit="images") as meter:
        batches = _embed_batches(images, embed, batch_size, 3, meter)
        first = next(batches)
        shape = (len(images), *first.shape[1:])
        gallery = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        done = 0
        for batch in itertools.chain([first], batches):
            gallery[done : done + len(batch)] = batch
            done += len(batch)
    return gallery


def _embed_batches(
    items: list[Item], embed: Callable[[list[Item]], npt.NDArray[Any]], batch_size: int, dimensions: int, meter: Meter
) -> Iterator[npt.NDArray[Any]]:
    for first in range(0, len(items), batch_size):
        batch = items[first : first + batch_size]
        embeddings = embed(batch)
        if embeddings.ndim != dimensions or len(embeddings) != len(batch):
            # A model that squeezes away a batch of one would otherwise be ranked on the wrong axis.
            raise ValueError(
                f"Expected {len(batch)} embeddings in an array of {dimensions} dimensions, got shape {embeddings.shape}"
            )
        if not np.isfinite(embeddings).all():
            raise LikebutError("The model's embeddings contain NaN or Inf.", "Use other weights.", code="non-finite")
        yield embeddings
        meter.advance(len(batch))


def _ranked_benchmark(
    benchmark: Benchmark, query_ranks: dict[str, QueryRank], candidates: list[str], positions: dict[str, int]
) -> RankedBenchmark:
    rankings = Rankings([], [])
    outcomes = []
    for query in benchmark.queries:
        query_rank = query_ranks.get(query.id)
        if query_rank is None:
            rankings.gallery.append([])
            rankings.subset.append([])
            outcomes.append(missed_outcome(query))
            continue
        usable = [positions[name] for name in query.subset if name in positions]
        subset = sorted(usable, key=lambda image: -query_rank.scores[image])
        rankings.gallery.append([candidates[image] for image in query_rank.top])
        rankings.subset.append([candidates[image] for image in subset])
        outcomes.append(outcome_from_scores(benchmark, query, query_rank, positions))
    return RankedBenchmark(benchmark, rankings, outcomes)
