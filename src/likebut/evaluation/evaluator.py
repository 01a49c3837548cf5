"""Evaluating a retriever on a benchmark: embed the gallery once, embed the queries, rank, measure.

Nothing here knows how an embedding comes to be: two functions give them (``adapter.py`` makes those of a retriever).
"""

import itertools
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
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
from likebut.evaluation.metrics import Outcome, measure, missed, outcome_of_rank
from likebut.evaluation.ranking import QueryRank, rank_candidates
from likebut.evaluation.report import EvaluationReport, build_report
from likebut.models.devices import require_device
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
    """What a model ranked first, by name, query by query; a query that could not be asked has empty rankings.

    Attributes:
        gallery: The best candidates of the gallery, at most 50.
        subset: The query's subset, best first; empty where it has none.
    """

    gallery: list[list[str]]
    subset: list[list[str]]


@dataclass(frozen=True)
class RankedBenchmark:
    """A benchmark's queries, ranked."""

    benchmark: Benchmark
    rankings: Rankings
    outcomes: list[Outcome]


def rank(
    benchmark: Benchmark,
    embed_gallery: EmbedGallery,
    embed_queries: EmbedQueries,
    skipped: Collection[str] = (),
    batch_size: int = 32,
    device: str = "cpu",
) -> RankedBenchmark:
    """Rank a benchmark's gallery for each of its queries.

    Gallery embeddings lie in a temporary float16 file and are read a chunk at a time.

    Args:
        benchmark: What to rank.
        embed_gallery: Embeds images (n, N, E).
        embed_queries: Embeds queries (n, E).
        skipped: Names of images that cannot be used. They are no candidates, and a query whose reference is one
            of them finds nothing: it stays in the figures as a miss.
        batch_size: Images or queries embedded at once.
        device: Where to rank.

    Raises:
        InputError: No image or no query can be used.
        LikebutError: The embeddings hold values that are not numbers.
    """
    unusable = set(skipped)
    candidates = [name for name in benchmark.gallery if name not in unusable]
    asked = [query for query in benchmark.queries if query.reference not in unusable]
    if not candidates or not asked:
        what = "queries" if candidates else "images in the gallery"
        raise InputError(f"{benchmark.title} has no {what} that can be used.", "Check the benchmark's images.")
    positions = {name: position for position, name in enumerate(candidates)}
    named = [_named(query, benchmark, positions) for query in asked]
    excluded = [[positions[name] for name in query.excluded if name in positions] for query in asked]
    with tempfile.TemporaryDirectory(prefix="likebut-") as folder:
        images = [benchmark.images[name] for name in candidates]
        gallery = _embed_gallery(images, embed_gallery, batch_size, Path(folder) / "gallery.npy")
        queries = _embed_queries(asked, embed_queries, batch_size)
        query_ranks = rank_candidates(queries, gallery, named, excluded, top=RANKING_LENGTH, device=device)
        del gallery  # closes the file before its folder goes
    return _ranked(benchmark, dict(zip((query.id for query in asked), query_ranks, strict=True)), candidates, positions)


def evaluate(
    benchmarks: Sequence[Benchmark],
    embed_gallery: EmbedGallery,
    embed_queries: EmbedQueries,
    skipped: Sequence[SkippedImage] = (),
    batch_size: int = 32,
    device: str = "cpu",
) -> tuple[EvaluationReport, list[RankedBenchmark]]:
    """Evaluate a retriever on a benchmark, or on its categories.

    Args:
        benchmarks: What a loader returned.
        embed_gallery: As for :func:`rank`.
        embed_queries: As for :func:`rank`.
        skipped: Images that cannot be used, and why.
        batch_size: As for :func:`rank`.
        device: As for :func:`rank`.

    Returns:
        The report, and the rankings it was measured on.

    Raises:
        InputError: The labels are hidden, or nothing can be ranked.
    """
    for benchmark in benchmarks:
        benchmark.require_labels()
    unusable = {image.name for image in skipped}
    ranked = [rank(each, embed_gallery, embed_queries, unusable, batch_size, device) for each in benchmarks]
    values = [(part.benchmark, measure(part.benchmark, part.outcomes)) for part in ranked]
    return build_report(values, skipped, _skipped_notes(benchmarks, unusable)), ranked


def metric_names(benchmarks: Sequence[Benchmark]) -> list[str]:
    """Return the names of the metrics that :func:`evaluate` gives, without evaluating anything.

    Raises:
        InputError: The labels are hidden.
    """
    for benchmark in benchmarks:
        benchmark.require_labels()
    nothing_found = [(each, measure(each, [missed(query) for query in each.queries])) for each in benchmarks]
    return list(build_report(nothing_found).metrics)


def _skipped_notes(benchmarks: Sequence[Benchmark], unusable: Collection[str]) -> list[str]:
    if not unusable:
        return []
    unasked = sum(query.reference in unusable for benchmark in benchmarks for query in benchmark.queries)
    return [
        f"{len(unusable)} images could not be used, and the {unasked} queries that refer to one count as misses: "
        "the figures are not comparable with those of the whole benchmark."
    ]


def _named(query: Query, benchmark: Benchmark, positions: dict[str, int]) -> list[int]:
    names = [*benchmark.credits_of(query), *query.targets, *query.subset, *query.hard_negatives]
    return [positions[name] for name in names if name in positions and name not in query.excluded]


def _embed_gallery(images: list[ImageRef], embed: EmbedGallery, batch_size: int, path: Path) -> npt.NDArray[np.float16]:
    """Embed images into a float16 file at ``path``; returns it, memory-mapped."""
    with track("embedding the gallery", total=len(images), unit="images") as meter:
        parts = _embedded(images, embed, batch_size, 3, meter)
        first = next(parts)
        shape = (len(images), *first.shape[1:])
        gallery = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        done = 0
        for part in itertools.chain([first], parts):
            gallery[done : done + len(part)] = part
            done += len(part)
    return gallery


def _embed_queries(queries: list[Query], embed: EmbedQueries, batch_size: int) -> npt.NDArray[np.float32]:
    with track("embedding queries", total=len(queries), unit="queries") as meter:
        return np.concatenate(list(_embedded(queries, embed, batch_size, 2, meter))).astype(np.float32)


def _embedded(
    items: list[Item], embed: Callable[[list[Item]], npt.NDArray[Any]], batch_size: int, dimensions: int, meter: Meter
) -> Iterator[npt.NDArray[Any]]:
    for first in range(0, len(items), batch_size):
        batch = items[first : first + batch_size]
        yield _checked(embed(batch), len(batch), dimensions)
        meter.advance(len(batch))


def _checked(embeddings: npt.NDArray[Any], count: int, dimensions: int) -> npt.NDArray[Any]:
    if embeddings.ndim != dimensions or len(embeddings) != count:
        # A model that squeezes away a batch of one would otherwise be ranked on the wrong axis.
        raise ValueError(f"{count} embeddings of {dimensions - 1} dimensions were due, not {embeddings.shape}")
    if not np.isfinite(embeddings).all():
        raise LikebutError("The model gave embeddings that are not finite numbers.", "Use other weights.")
    return embeddings


def _ranked(
    benchmark: Benchmark, query_ranks: dict[str, QueryRank], candidates: list[str], positions: dict[str, int]
) -> RankedBenchmark:
    rankings = Rankings([], [])
    outcomes = []
    for query in benchmark.queries:
        query_rank = query_ranks.get(query.id)
        if query_rank is None:
            rankings.gallery.append([])
            rankings.subset.append([])
            outcomes.append(missed(query))
            continue
        usable = [positions[name] for name in query.subset if name in positions]
        by_score = sorted(usable, key=lambda image: -query_rank.scores[image])
        rankings.gallery.append([candidates[image] for image in query_rank.top])
        rankings.subset.append([candidates[image] for image in by_score])
        outcomes.append(outcome_of_rank(benchmark, query, query_rank, positions))
    return RankedBenchmark(benchmark, rankings, outcomes)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How to rank.

    Attributes:
        model: A trained retriever's name or folder.
        query_mode: "composed", "text" or "image".
        device: Where to compute; the GPU if there is one and this is None.
        batch_size: Images or queries embedded at once.
        cache: Whether to keep vision tokens on disk.
        features: Where to keep them; in the user's cache folder if None.
        allow_missing: Whether to go on without missing images.
    """

    model: str
    query_mode: str = "composed"
    device: str | None = None
    batch_size: int = 32
    cache: bool = True
    features: Path | None = None
    allow_missing: bool = False


@dataclass(frozen=True, slots=True)
class _Prepared:
    adapter: RetrieverAdapter
    skipped: list[SkippedImage]
    device: str


def evaluate_with_model(
    benchmarks: Sequence[Benchmark], options: ModelOptions
) -> tuple[EvaluationReport, list[RankedBenchmark]]:
    """Return a model's figures on a benchmark, and its rankings.

    Raises:
        InputError: The labels are hidden, images are missing, or the model cannot be loaded; before any long work.
    """
    for benchmark in benchmarks:
        benchmark.require_labels()
    prepared = _prepare(benchmarks, options)
    adapter = prepared.adapter
    return evaluate(
        benchmarks,
        adapter.embed_gallery,
        adapter.embed_queries,
        prepared.skipped,
        options.batch_size,
        prepared.device,
    )


def rank_with_model(benchmark: Benchmark, options: ModelOptions) -> tuple[RankedBenchmark, list[SkippedImage]]:
    """Return a model's rankings of a benchmark, whose labels may be hidden, and the images that cannot be used.

    Raises:
        InputError: Images are missing, or the model cannot be loaded; before any long work.
    """
    prepared = _prepare([benchmark], options)
    adapter = prepared.adapter
    unusable = [image.name for image in prepared.skipped]
    ranked = rank(
        benchmark, adapter.embed_gallery, adapter.embed_queries, unusable, options.batch_size, prepared.device
    )
    return ranked, prepared.skipped


def _prepare(benchmarks: Sequence[Benchmark], options: ModelOptions) -> _Prepared:
    require_device(options.device)
    require_choice(options.query_mode, QUERY_MODES, "query mode")
    require_galleries(benchmarks)
    missing = require_images(benchmarks, options.allow_missing)
    retriever = Retriever.from_pretrained(options.model, options.device)
    absent = {image.name for image in missing}
    images = [image for image in needed_images(benchmarks) if image.name not in absent]
    if options.cache:
        tokens, damaged = cached_tokens(retriever, images, options.features, options.batch_size)
    else:
        tokens, damaged = uncached_tokens(retriever, images)
    return _Prepared(
        RetrieverAdapter(retriever, tokens, options.query_mode), [*missing, *damaged], str(retriever.device)
    )
