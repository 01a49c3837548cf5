"""Which queries fail: counted by what differs between the reference and the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from likebut.errors import InputError
from likebut.evaluation.evaluator import RankedBenchmark
from likebut.research.reports.panels import MISSED_BEYOND

ALL = "all"
# Attributes that are one kind of change to whoever asks; any other attribute is a kind of its own.
_KINDS = {
    "further colours": ("second colour", "third colour"),
    "cut": ("sleeves", "neck", "hood", "closure", "length", "leg", "fit", "waist", "heel", "height", "brim"),
}
_KIND_OF = {attribute: kind for kind, attributes in _KINDS.items() for attribute in attributes}
# Patterns that are a picture or lettering, of which no two are alike.
_PRINTS = frozenset({"graphic print", "text print", "small logo"})


@dataclass(frozen=True, slots=True)
class KindOfChange:
    """How the queries fare in which one kind of thing changes, among others or alone.

    Attributes:
        name: The kind.
        queries: How many there are.
        first: Share whose target came first, in percent.
        among_ten: Share whose target was among the first ten, in percent.
    """

    name: str
    queries: int
    first: float
    among_ten: float


def changed_kinds(reference: Mapping[str, str], target: Mapping[str, str]) -> set[str]:
    """Return the kinds of change between two images' attributes; an attribute that one lacks is no change.

    A change to a pattern that is a picture or lettering is a "print", another a "pattern".
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
    """Return how queries fare by kind of change, the kind with most queries first, all of them before it.

    A query counts for every kind that changes in it, and by how many kinds change.

    Raises:
        InputError: The attributes of a query's images are not known.
    """
    groups: dict[str, list[int | None]] = {ALL: []}
    for part in ranked:
        for query, outcome in zip(part.benchmark.queries, part.outcomes, strict=True):
            place = outcome.ranked[0].rank if outcome.ranked else None
            kinds = changed_kinds(*(_attributes(attributes, name) for name in (query.reference, query.target)))
            number = f"{len(kinds)} kinds at once" if len(kinds) != 1 else "one kind alone"
            for name in (ALL, *kinds, number):
                groups.setdefault(name, []).append(place)
    rows = [_row(name, places) for name, places in groups.items() if name != ALL]
    return [_row(ALL, groups[ALL]), *sorted(rows, key=lambda row: (-row.queries, row.name))]


def _attributes(known: Mapping[str, Mapping[str, str]], name: str) -> Mapping[str, str]:
    if name not in known:
        raise InputError(f"The attributes of {name} are not known.", "Give a folder whose attributes.jsonl lists it.")
    return known[name]


def _row(name: str, places: Sequence[int | None]) -> KindOfChange:
    first = sum(place == 1 for place in places)
    among_ten = sum(place is not None and place <= MISSED_BEYOND for place in places)
    return KindOfChange(name, len(places), 100 * first / len(places), 100 * among_ten / len(places))
