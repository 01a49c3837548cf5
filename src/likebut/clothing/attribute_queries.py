"""Queries derived from the attributes, whose targets are all the photographs that fit.

They measure what the written texts cannot: a text singles out one photograph, but others may fit it too.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random

from likebut.clothing.annotations import Photograph
from likebut.clothing.attributes import KIND_OF, attributes_of
from likebut.clothing.grammar import can_be_said, write_plain
from likebut.triplets import Query

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
