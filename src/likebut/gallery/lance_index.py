"""The index of a Lance table: when there is one, of what kind and size, and how the table is kept tidy."""

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

from lancedb.index import BTree, IvfRq

from likebut.gallery.store import SearchEffort

VECTORS = "embeddings"
# Below this many embeddings (1,250 images of 8) an exact search takes no longer than the rest of an answer.
EXACT_TOKENS = 10_000
# Where a filter leaves no more than this many, all of them are compared: an index finds less behind a filter.
EXACT_FILTERED_TOKENS = 40_000
_GROWTH = 2
_MAX_PARTITIONS = 2048
_SAMPLES_PER_PARTITION = 64
# Longer than a search takes: a reader may still be on the version that a writer has just replaced.
_KEEP_VERSIONS = timedelta(minutes=1)
# A clustered index is asked to look this many times further at most for what a filter leaves.
_MAX_WIDENING = 10
_FRAGMENTS = 32
_UNINDEXED_SHARE = 0.05


def partitions(tokens: int) -> int:
    """Return how many clusters an index over ``tokens`` vectors has: about their square root."""
    return max(1, min(math.isqrt(tokens), _MAX_PARTITIONS))


def train_if_due(table: Any, tokens_per_image: int, trained_with: int) -> int:
    """Train the vector index if the table is large enough and has none, or has outgrown it.

    Args:
        table: The images table.
        tokens_per_image: N.
        trained_with: How many images the present index was trained with; 0 if there is none.

    Returns:
        How many images it was trained with now; 0 if it was left as it is.
    """
    images = table.count_rows()
    if index_state(table)[0] == "exact":
        trained_with = 0  # a kill while a gallery is removed leaves the number behind
    if images * tokens_per_image < EXACT_TOKENS or (trained_with and images < _GROWTH * trained_with):
        return 0
    # RaBitQ codes of one bit a dimension, not product quantisation: at 100,000 images it builds in a tenth of the
    # time and, with exact re-scoring, misses less (docs/gallery.md).
    config = IvfRq(
        distance_type="cosine",
        num_partitions=partitions(images * tokens_per_image),
        sample_rate=_SAMPLES_PER_PARTITION,
    )
    table.create_index(VECTORS, config=config, replace=True)
    table.create_index("id", config=BTree(), replace=True)
    return int(images)


def tidy(table: Any) -> None:
    """Merge small files, fold new rows into the indices, drop old versions: if that is cheap, or there is enough to do.

    Merging writes every row of a gallery below a million images anew.
    """
    fragments = table.stats()["fragment_stats"]["num_fragments"]
    _, unindexed = index_state(table)
    if fragments <= 1 or fragments > _FRAGMENTS or unindexed > _UNINDEXED_SHARE * table.count_rows():
        table.optimize(cleanup_older_than=_KEEP_VERSIONS)


def effort_for_filter(effort: SearchEffort, images: int, matching: int, tokens: int) -> tuple[SearchEffort, bool]:
    """Return the effort for a search among ``matching`` of ``images``, and whether to compare with all of those.

    The nearest of a tenth of the images lie in more clusters than the nearest of all of them.
    """
    if matching * tokens <= EXACT_FILTERED_TOKENS:
        return effort, True
    widening = min(images / matching, _MAX_WIDENING)
    probes = math.ceil(effort.probes * widening)
    return replace(effort, probes=probes, candidates=2 * effort.candidates), False


def index_state(table: Any) -> tuple[str, int]:
    """Return the kind of the vector index ("exact" if there is none), and how many rows it lacks."""
    for index in table.list_indices():
        if list(index.columns) == [VECTORS]:
            statistics = table.index_stats(index.name)
            return str(index.index_type), int(statistics.num_unindexed_rows)
    return "exact", 0
