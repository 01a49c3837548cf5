"""The training dataset: triplets and captions with the images that they name."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from likebut.data.folder import Caption
from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef, Triplet
from likebut.data.views import view_name
from likebut.errors import InputError
from likebut.features.cache import FeatureCache
from likebut.features.token_source import TokenSource
from likebut.files import fingerprint
from likebut.recipes.schema import DataSettings
from likebut.training.batches import TextVariants


@dataclass(frozen=True)
class TrainingData:
    """Triplets, and captions if any, with the images that they name.

    Attributes:
        triplets: Triplets of one split.
        images: By name; may contain images that no triplet names.
        text_variants: Samples the modification text each time a triplet is read; the triplet's own text if None.
        captions: Images with captions, for the captions and words stages.
        left_out: Number of triplets that were left out because they have no reverse text that passed the filters.
        settings: How training samples from the data.
    """

    triplets: Sequence[Triplet]
    images: dict[str, ImageRef]
    text_variants: TextVariants | None = None
    captions: Sequence[Caption] = field(default_factory=tuple)
    left_out: int = 0
    settings: DataSettings = DataSettings()

    def needed_images(self, with_hard_negatives: bool = False) -> list[ImageRef]:
        """Return the images that training reads, by name.

        Args:
            with_hard_negatives: Whether training reads the triplets' listed hard negatives.

        Raises:
            InputError: A triplet names an image that is not in ``images``.
        """
        names = self._names(with_hard_negatives)
        absent = sorted(names - self.images.keys())
        if absent:
            raise InputError(
                f"{len(absent)} images that the training data names are missing, {absent[0]} first.",
                "Run `likebut data verify` on the data folder for the whole list.",
                "missing-images",
            )
        return [self.images[name] for name in sorted(names)]

    def without(self, skipped: Sequence[SkippedImage], with_hard_negatives: bool = False) -> "TrainingData":
        """Return the data without the triplets and captions of skipped images.

        Args:
            skipped: The images.
            with_hard_negatives: Whether training reads listed hard negatives: a triplet that loses all of them is left
                out, too.
        """
        unusable = {item.name for item in skipped}
        triplets = []
        for triplet in self.triplets:
            left = tuple(name for name in triplet.hard_negatives if name not in unusable)
            lost_all = with_hard_negatives and triplet.hard_negatives and not left
            if not lost_all and not {triplet.reference, triplet.target} & unusable:
                triplets.append(replace(triplet, hard_negatives=left))
        captions = [caption for caption in self.captions if caption.image not in unusable]
        return replace(self, triplets=triplets, captions=captions)

    def fingerprint(self, features: TokenSource) -> str:
        """Return 16 hexadecimal digits that differ if a text, the order or the content of an image differs.

        Args:
            features: Knows the content of the images; an unreadable image counts by its name.
        """
        names = sorted(self._names())
        return fingerprint(
            {
                "triplets": [triplet.to_row() for triplet in self.triplets],
                "captions": [asdict(caption) for caption in self.captions],
                "contents": [features.content(name) if features.knows(name) else name for name in names],
            }
        )

    def names_in(self, cache: FeatureCache, views: int = 1) -> list[str]:
        """Return the names of ``views`` views of each of the data's images, as far as ``cache`` has their tokens."""
        names = (view_name(name, view) for name in sorted(self._names()) for view in range(views))
        return [name for name in names if name in cache]

    def _names(self, with_hard_negatives: bool = True) -> set[str]:
        names = {name for triplet in self.triplets for name in (triplet.reference, triplet.target)}
        names |= {caption.image for caption in self.captions}
        if with_hard_negatives:
            names |= {name for triplet in self.triplets for name in triplet.hard_negatives}
        return names


def merge(parts: Sequence[TrainingData]) -> TrainingData:
    """Return the concatenation of several datasets.

    The images of the first keep their names. Those of the others get a prefix that depends on their position alone
    ("also-1/…"), so that equal names stay different images and a folder that was moved is the same data.

    Args:
        parts: One or more; ``text_variants`` and ``settings`` are those of the first.

    Raises:
        InputError: An image of the first part has a name with such a prefix.
    """
    first, *others = parts
    images, triplets, captions = dict(first.images), list(first.triplets), list(first.captions)
    for number, part in enumerate(others, start=1):
        prefix = f"also-{number}/"
        taken = next((name for name in first.images if name.startswith(prefix)), None)
        if taken is not None:
            raise InputError(
                f"The name of the image {taken} in the first folder is reserved for images of other folders.",
                "Rename it.",
                "reserved-name",
            )
        images |= {prefix + name: replace(image, name=prefix + name) for name, image in part.images.items()}
        triplets += [_renamed(triplet, prefix) for triplet in part.triplets]
        captions += [Caption(prefix + caption.image, caption.texts) for caption in part.captions]
    left_out = sum(part.left_out for part in parts)
    return replace(first, triplets=triplets, images=images, captions=captions, left_out=left_out)


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
