"""Modification texts composed from the captions of the two images, as other work makes its synthetic triplets.

Those works let a language model join the captions; here it is a handful of phrasings, so that nothing but the captions
decides what is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from likebut.triplets import Triplet

# What the target shows comes first: a long text is cut at its end.
_PHRASINGS = ("{target}", "{target} instead of {reference}", "change it to {target}", "{target}, not {reference}")


def composed(triplets: Sequence[Triplet], captions: Mapping[str, Sequence[str]], seed: int = 0) -> list[Triplet]:
    """Return ``triplets``, their texts in both directions replaced by texts composed from captions.

    Args:
        triplets: Whose images all have captions; those with a reverse text get a reverse text.
        captions: Image → its captions.
        seed: Of the choice of captions and phrasings, which depends on the two images alone besides.
    """
    return [_composed(triplet, captions, seed) for triplet in triplets]


def _composed(triplet: Triplet, captions: Mapping[str, Sequence[str]], seed: int) -> Triplet:
    def text(reference: str, target: str) -> str:
        generator = Random(f"{seed}/{reference}/{target}")
        before, after = (generator.choice(captions[name]).strip().rstrip(".") for name in (reference, target))
        return generator.choice(_PHRASINGS).format(reference=before, target=after)

    reverse = text(triplet.target, triplet.reference) if triplet.reverse_modification is not None else None
    return replace(triplet, modification=text(triplet.reference, triplet.target), reverse_modification=reverse)
