"""Learning from several data folders at once."""

from collections.abc import Sequence
from dataclasses import replace

from likebut.errors import InputError
from likebut.training.caption_batches import Caption
from likebut.training.data import TrainingData
from likebut.triplets import Triplet


def merge(parts: Sequence[TrainingData]) -> TrainingData:
    """Return one body of training data; each part counts for as much as it holds.

    The first part's images keep their names. Those of the others get a prefix that tells their place alone
    ("also-1/…"), so that equal names stay apart and a folder that has moved is still the same data.

    Args:
        parts: One or more; ``text_variants`` are the first one's.

    Raises:
        InputError: An image of the first part is called as one of the others would be.
    """
    first, *others = parts
    images, triplets, captions = dict(first.images), list(first.triplets), list(first.captions)
    for number, part in enumerate(others, start=1):
        prefix = f"also-{number}/"
        taken = next((name for name in first.images if name.startswith(prefix)), None)
        if taken is not None:
            raise InputError(f"The first folder's image {taken} has a name that is kept for others.", "Rename it.")
        images |= {prefix + name: replace(image, name=prefix + name) for name, image in part.images.items()}
        triplets += [_renamed(triplet, prefix) for triplet in part.triplets]
        captions += [Caption(prefix + caption.image, caption.texts) for caption in part.captions]
    return TrainingData(triplets, images, first.text_variants, captions, sum(part.left_out for part in parts))


def _renamed(triplet: Triplet, prefix: str) -> Triplet:
    return replace(
        triplet,
        id=prefix + triplet.id if triplet.id else "",
        reference=prefix + triplet.reference,
        target=prefix + triplet.target,
        targets=tuple(prefix + name for name in triplet.targets),
        subset=tuple(prefix + name for name in triplet.subset),
        hard_negatives=tuple(prefix + name for name in triplet.hard_negatives),
    )
