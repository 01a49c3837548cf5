"""Photographs of clothing (``docs/clothing.md``): written texts, and queries derived from the attributes beside them.

The two are parts of their own and never meet in one metric. Gallery: all photographs of the split.
"""

from dataclasses import replace
from pathlib import Path

from likebut.benchmarks.benchmark import Benchmark, MetricPlan
from likebut.benchmarks.layout import require_choice, require_root
from likebut.clothing.annotations import SPLITS, load_gallery, load_photographs, load_triplets
from likebut.clothing.attribute_queries import attribute_queries
from likebut.clothing.locating import locate_photographs
from likebut.triplets import Query

PROTOCOLS = ("original", "pairs", "attributes")
ATTRIBUTES = "attributes"
PAIRS_PLAN = MetricPlan(recall_at=(1, 5, 10, 50), subset_recall_at=(1, 2, 3))
ATTRIBUTES_PLAN = MetricPlan(precision_at=(10,))
NOTES = (
    "Descriptions and texts were written by a vision-language model looking at contact sheets; nobody verified them.",
    "Another photograph than the target may fit a text: Recall@K is a lower bound.",
)


def load_clothing(root: Path, split: str, protocol: str = "original") -> list[Benchmark]:
    """Load one split of the photographs of clothing.

    Args:
        root: The folder with the photographs, in the public collection's layout or not.
        split: "train" or "val".
        protocol: "pairs" (the written texts, both directions of each pair), "attributes" (derived queries), or
            "original" for both, one after the other.

    Returns:
        The main part (written texts), the part "attributes", or both.

    Raises:
        InputError: The folder is missing or a choice is unknown.
    """
    require_root(root)
    require_choice(split, SPLITS, "split of clothing")
    require_choice(protocol, PROTOCOLS, "protocol of clothing")
    gallery = [name for name, of_split in load_gallery() if of_split == split]
    pairs = Benchmark(
        name="clothing",
        split=split,
        protocol=protocol,
        gallery=gallery,
        queries=_written_queries(split),
        images=locate_photographs(root, gallery),
        plan=PAIRS_PLAN,
        notes=NOTES,
    )
    if protocol == "pairs":
        return [pairs]
    photographs = [photograph for photograph in load_photographs().values() if photograph.split == split]
    derived = replace(pairs, queries=attribute_queries(photographs), plan=ATTRIBUTES_PLAN, part=ATTRIBUTES)
    return [derived] if protocol == "attributes" else [pairs, derived]


def _written_queries(split: str) -> list[Query]:
    triplets = [triplet for triplet in load_triplets() if triplet.split == split]
    return [Query.from_triplet(triplet, position) for position, triplet in enumerate(triplets)]
