"""The photographs of clothing as a benchmark: written modification texts, and queries derived from the attributes.

Derived queries list every photograph that fits among their targets. The written texts cannot: a text describes one
photograph, but others may fit it too.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from likebut.data.triplets import Query
from likebut.evaluation.benchmark import Benchmark, MetricPlan
from likebut.evaluation.benchmarks.layout import require_choice, require_root
from likebut.evaluation.benchmarks.loading import BenchmarkEntry
from likebut.research.clothing.annotations import (
    SPLITS,
    Photograph,
    load_gallery,
    load_photographs,
    load_triplets,
    locate_photographs,
)
from likebut.research.clothing.attributes import KIND_OF, attributes_of
from likebut.research.clothing.grammar import can_be_requested, write_plain

FITTING = ("type", "colour", "pattern", "sleeves")
"""The attributes of a derived query: a target has the new values of those that change, the reference's of the rest."""

PROTOCOLS = ("original", "pairs", "attributes")
ATTRIBUTES = "attributes"
PAIRS_PLAN = MetricPlan(recall_at=(1, 5, 10, 50), subset_recall_at=(1, 2, 3))
ATTRIBUTES_PLAN = MetricPlan(precision_at=(10,))
NOTES = (
    "Descriptions and texts were written by a vision-language model from contact sheets; no person verified them.",
    "Other photographs than the target may fit a text: Recall@K is a lower bound.",
)

_MAX_CHANGES = 2
_QUERIES_PER_PHOTOGRAPH = 2
_MIN_TARGETS = 2
# Where a garment is worn. Derived queries change the type within one of these only.
_WORN = {"upper": 1, "one-piece": 1, "legs": 2, "skirt": 2, "shoes": 3, "head": 4}
_Values = tuple[str, ...]


def load_clothing(root: Path, split: str, protocol: str = "original") -> list[Benchmark]:
    """Load one split of the photographs of clothing.

    Args:
        root: The folder of the photographs, in the public collection's layout or flat.
        split: "train" or "val".
        protocol: "pairs" (the written texts, both directions of each pair), "attributes" (derived queries), or
            "original" for both.

    Returns:
        The main part (written texts), the part "attributes", or both.

    Raises:
        InputError: The folder is missing or a choice is unknown.
    """
    require_root(root)
    require_choice(split, SPLITS, "split of clothing")
    require_choice(protocol, PROTOCOLS, "protocol of clothing")
    gallery = [name for name, of_split in load_gallery() if of_split == split]
    triplets = [triplet for triplet in load_triplets() if triplet.split == split]
    pairs = Benchmark(
        name="clothing",
        split=split,
        protocol=protocol,
        gallery=gallery,
        queries=[Query.from_triplet(triplet, position) for position, triplet in enumerate(triplets)],
        images=locate_photographs(root, gallery),
        plan=PAIRS_PLAN,
        notes=NOTES,
    )
    if protocol == "pairs":
        return [pairs]
    photographs = [photograph for photograph in load_photographs().values() if photograph.split == split]
    derived = replace(pairs, queries=attribute_queries(photographs), plan=ATTRIBUTES_PLAN, part=ATTRIBUTES)
    return [derived] if protocol == "attributes" else [pairs, derived]


CLOTHING = BenchmarkEntry(
    name="clothing",
    splits=SPLITS,
    protocols=PROTOCOLS,
    load=lambda root, split, protocol, _: load_clothing(root, split, protocol),
)


def attribute_queries(photographs: Sequence[Photograph]) -> list[Query]:
    """Return up to two derived queries for each photograph; equal photographs give equal queries.

    A query changes one or two of :data:`FITTING`, has a plain text, and has at least two targets.
    """
    by_values: dict[_Values, list[str]] = defaultdict(list)
    for photograph in photographs:
        by_values[_values_of(attributes_of(photograph))].append(photograph.image)
    candidates = [
        values for values, images in by_values.items() if len(images) >= _MIN_TARGETS and _can_be_requested(values)
    ]
    queries = []
    for photograph in photographs:
        own = _values_of(attributes_of(photograph))
        near = [
            values
            for values in candidates
            if 1 <= _distance(own, values) <= _MAX_CHANGES and _is_worn_alike(own, values)
        ]
        chosen = Random(photograph.image).sample(near, min(_QUERIES_PER_PHOTOGRAPH, len(near)))
        queries += [
            _query(f"{photograph.image}/{number}", photograph.image, own, values, by_values[values])
            for number, values in enumerate(chosen)
        ]
    return queries


def _values_of(attributes: Mapping[str, str]) -> _Values:
    return tuple(attributes.get(name, "") for name in FITTING)


def _distance(one: _Values, other: _Values) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def _is_worn_alike(one: _Values, other: _Values) -> bool:
    """Return whether a change from ``one`` to ``other`` is plausible: a skirt does not become shoes."""
    return _WORN[KIND_OF[one[0]]] == _WORN[KIND_OF[other[0]]] and bool(one[-1]) == bool(other[-1])


def _can_be_requested(values: _Values) -> bool:
    return all(can_be_requested(name, value) for name, value in zip(FITTING, values, strict=True) if value)


def _query(name: str, reference: str, own: _Values, wanted: _Values, targets: Iterable[str]) -> Query:
    changes = {name: new for name, old, new in zip(FITTING, own, wanted, strict=True) if old != new}
    fitting = tuple(targets)
    return Query(
        id=name,
        reference=reference,
        modification=write_plain(changes),
        target=fitting[0],
        targets=fitting,
        excluded=(reference,),
    )
