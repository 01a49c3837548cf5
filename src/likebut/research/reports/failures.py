"""Recall by kind of change: what differs between the reference and the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from likebut.errors import InputError
from likebut.evaluation.evaluator import RankedBenchmark
from likebut.research.reports.panels import MISSED_BEYOND

ALL = "all"
# Attributes that form one kind of change; any other attribute is its own kind.
_KINDS = {
    "further colours": ("second colour", "third colour"),
    "cut": ("sleeves", "neck", "hood", "closure", "length", "leg", "fit", "waist", "heel", "height", "brim"),
}
_KIND_OF = {attribute: kind for kind, attributes in _KINDS.items() for attribute in attributes}
# Patterns with an image or lettering, which are all different.
_PRINTS = frozenset({"graphic print", "text print", "small logo"})


@dataclass(frozen=True, slots=True)
class KindOfChange:
    """The recall of the queries with one kind of change.

    Attributes:
        name: The kind.
        queries: Number of queries.
        first: Recall@1 in percent.
        among_ten: Recall@10 in percent.
    """

    name: str
    queries: int
    first: float
    among_ten: float


def changed_kinds(reference: Mapping[str, str], target: Mapping[str, str]) -> set[str]:
    """Return the kinds of change between two images' attributes; an attribute that one lacks is not a change.

    A change to a pattern with an image or lettering is a "print", any other a "pattern".
    """
    kinds = set()
    for attribute, value in target.items():
        if reference.get(attribute, value) == value:
            continue
        is_print = attribute == "pattern" and value in _PRINTS
        kinds.add("print" if is_print else _KIND_OF.get(attribute, attribute))
    return kinds


def by_kind_of_change(
    ranked: Sequence[RankedBenchmark], attributes: Mapping[str, Mapping[str, str]]
) -> list[KindOfChange]:
    """Return recall for all queries, then by kind of change, the kind with most queries first.

    A query counts for every kind of change that it has, and for their number.

    Raises:
        InputError: The attributes of a query's images are unknown.
    """
    groups: dict[str, list[int | None]] = {ALL: []}
    for part in ranked:
        for query, outcome in zip(part.benchmark.queries, part.outcomes, strict=True):
            rank = outcome.ranked[0].rank if outcome.ranked else None
            kinds = changed_kinds(*(_attributes(attributes, name) for name in (query.reference, query.target)))
            number = f"{len(kinds)} kinds at once" if len(kinds) != 1 else "one kind alone"
            for name in (ALL, *kinds, number):
                groups.setdefault(name, []).append(rank)
    rows = [_row(name, ranks) for name, ranks in groups.items() if name != ALL]
    return [_row(ALL, groups[ALL]), *sorted(rows, key=lambda row: (-row.queries, row.name))]


def _attributes(known: Mapping[str, Mapping[str, str]], name: str) -> Mapping[str, str]:
    if name not in known:
        raise InputError(
            f"The attributes of {name} are unknown.",
            "Give a folder whose attributes.jsonl lists it.",
            code="missing-attributes",
        )
    return known[name]


def _row(name: str, ranks: Sequence[int | None]) -> KindOfChange:
    first = sum(rank == 1 for rank in ranks)
    among_ten = sum(rank is not None and rank <= MISSED_BEYOND for rank in ranks)
    return KindOfChange(name, len(ranks), 100 * first / len(ranks), 100 * among_ten / len(ranks))
