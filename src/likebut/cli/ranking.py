"""What ``likebut evaluate`` and ``likebut submit`` share: a model, a benchmark's images, and the rankings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from likebut.backbones.device import require_device
from likebut.benchmarks.adapter import QUERY_MODES, RetrieverAdapter
from likebut.benchmarks.benchmark import Benchmark
from likebut.benchmarks.evaluation import RankedBenchmark, evaluate, rank
from likebut.benchmarks.layout import require_choice
from likebut.benchmarks.loading import require_galleries
from likebut.benchmarks.preparation import cached_tokens, needed_images, require_images, uncached_tokens
from likebut.benchmarks.report import EvaluationReport
from likebut.images import SetAside
from likebut.retriever.retriever import Retriever


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
    set_aside: list[SetAside]
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
        prepared.set_aside,
        options.batch_size,
        prepared.device,
    )


def rank_with_model(benchmark: Benchmark, options: ModelOptions) -> tuple[RankedBenchmark, list[SetAside]]:
    """Return a model's rankings of a benchmark, whose labels may be hidden, and the images that cannot be used.

    Raises:
        InputError: Images are missing, or the model cannot be loaded; before any long work.
    """
    prepared = _prepare([benchmark], options)
    adapter = prepared.adapter
    unusable = [image.name for image in prepared.set_aside]
    ranked = rank(
        benchmark, adapter.embed_gallery, adapter.embed_queries, unusable, options.batch_size, prepared.device
    )
    return ranked, prepared.set_aside


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
