"""The index of a Lance table: when there is one, of what kind and size, and how the table is kept tidy."""

import math
from datetime import timedelta
from typing import Any

from lancedb.index import BTree, IvfRq

VECTORS = "embeddings"
# Below this an exact search takes less than about 20 ms, and finds everything.
EXACT_LIMIT = 5_000
_GROWTH = 2
_MAX_PARTITIONS = 2048
_SAMPLES_PER_PARTITION = 64
# Longer than any search takes: a reader may still be on the version that a writer has just replaced.
_KEEP_VERSIONS = timedelta(minutes=10)


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
    if images < EXACT_LIMIT or (trained_with and images < _GROWTH * trained_with):
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
    """Merge small files, fold new rows into the indices, and drop old versions."""
    table.optimize(cleanup_older_than=_KEEP_VERSIONS)


def index_state(table: Any) -> tuple[str, int]:
    """Return the kind of the vector index ("exact" if there is none), and how many rows it lacks."""
    for index in table.list_indices():
        if list(index.columns) == [VECTORS]:
            statistics = table.index_stats(index.name)
            return str(index.index_type), int(statistics.num_unindexed_rows)
    return "exact", 0
