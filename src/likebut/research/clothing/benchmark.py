"""Queries derived from the attributes, whose targets are all the photographs that fit.

They measure what the written texts cannot: a text singles out one photograph, but others may fit it too.
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
from likebut.research.clothing.grammar import can_be_said, write_plain

FITTING = ("type", "colour", "pattern", "sleeves")
"""What a photograph must show to fit: the edit's new values, and the reference's old ones in the rest."""

_MOST_CHANGES = 2
_PER_PHOTOGRAPH = 2
_LEAST_TARGETS = 2

_WORN = {"upper": 1, "one-piece": 1, "legs": 2, "skirt": 2, "shoes": 3, "head": 4}
_Look = tuple[str, ...]


def attribute_queries(photographs: Sequence[Photograph]) -> list[Query]:
    """Return up to two queries from each photograph; the same photographs give the same queries.

    A query changes one or two of :data:`FITTING`, says so in the plain register, and has at least two targets.
    """
    by_look: dict[_Look, list[str]] = defaultdict(list)
    for photograph in photographs:
        by_look[_look(attributes_of(photograph))].append(photograph.image)
    looks = [look for look, images in by_look.items() if len(images) >= _LEAST_TARGETS and _can_be_asked_for(look)]
    queries = []
    for photograph in photographs:
        own = _look(attributes_of(photograph))
        near = [look for look in looks if 1 <= _distance(own, look) <= _MOST_CHANGES and _same_kind(own, look)]
        chosen = Random(photograph.image).sample(near, min(_PER_PHOTOGRAPH, len(near)))
        queries += [
            _query(f"{photograph.image}/{number}", photograph.image, own, look, by_look[look])
            for number, look in enumerate(chosen)
        ]
    return queries


def _look(values: Mapping[str, str]) -> _Look:
    return tuple(values.get(name, "") for name in FITTING)


def _distance(one: _Look, other: _Look) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def _same_kind(one: _Look, other: _Look) -> bool:
    """Return whether a person could mean the one by a change of the other: no skirt is asked to become shoes."""
    return _WORN[KIND_OF[one[0]]] == _WORN[KIND_OF[other[0]]] and bool(one[-1]) == bool(other[-1])


def _can_be_asked_for(look: _Look) -> bool:
    return all(can_be_said(name, value) for name, value in zip(FITTING, look, strict=True) if value)


def _query(name: str, reference: str, own: _Look, look: _Look, targets: Iterable[str]) -> Query:
    changes = {name: new for name, old, new in zip(FITTING, own, look, strict=True) if old != new}
    fitting = tuple(targets)
    return Query(
        id=name,
        reference=reference,
        modification=write_plain(changes),
        target=fitting[0],
        targets=fitting,
        excluded=(reference,),
    )


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


CLOTHING = BenchmarkEntry(
    name="clothing",
    splits=SPLITS,
    protocols=PROTOCOLS,
    load=lambda root, split, protocol, _: load_clothing(root, split, protocol),
)
