"""What a training learns from, gathered before it begins."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from likebut.data.folder import Caption
from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef, Triplet
from likebut.data.views import view_name, with_views
from likebut.errors import InputError
from likebut.features.cache import FeatureCache
from likebut.features.token_source import ResidentFeatures, TokenSource
from likebut.files import fingerprint, sha256_of
from likebut.models.model_folder import WEIGHTS_NAME, find_model_folder
from likebut.models.preset import Preset, load_preset
from likebut.models.process_group import this_process
from likebut.models.vision import VisionEncoder
from likebut.progress import notice
from likebut.recipes.schema import DataSettings
from likebut.training.batches import TextVariants


@dataclass(frozen=True)
class TrainingData:
    """Triplets with the images that they name.

    Attributes:
        images: By name; more than the triplets name is no harm.
        text_variants: Chooses the modification text of a triplet each time it is read; its own text if None.
        captions: Single images with texts, for a first stage that reads them.
        left_out: How many triplets were left out because no reverse text of theirs was kept.
    """

    triplets: Sequence[Triplet]
    images: dict[str, ImageRef]
    text_variants: TextVariants | None = None
    captions: Sequence[Caption] = field(default_factory=tuple)
    left_out: int = 0

    def needed_images(self, with_hard_negatives: bool = False) -> list[ImageRef]:
        """Return the images that training reads, by name.

        Args:
            with_hard_negatives: Whether it reads the triplets' hard negatives too.

        Raises:
            InputError: A triplet names an image that there is none of.
        """
        names = self._names(with_hard_negatives)
        absent = sorted(names - self.images.keys())
        if absent:
            raise InputError(
                f"{len(absent)} of the images that the training data names are not there, {absent[0]} first.",
                "Run `likebut data verify` on the data folder for the whole list.",
            )
        return [self.images[name] for name in sorted(names)]

    def without(self, skipped: Sequence[SkippedImage], with_hard_negatives: bool = False) -> "TrainingData":
        """Return the data without what uses an image that was set aside.

        Args:
            skipped: The images.
            with_hard_negatives: Whether training reads hard negatives: a triplet that has none left then goes too.
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
        """Return 16 hexadecimal digits that differ when a text, an order or an image's content differs.

        Args:
            features: Where the images' contents are known; images that cannot be read there count by name.
        """
        names = sorted(self._names())
        return fingerprint(
            {
                "triplets": [triplet.to_row() for triplet in self.triplets],
                "captions": [asdict(caption) for caption in self.captions],
                "contents": [features.content(name) if features.knows(name) else name for name in names],
            }
        )

    def _names(self, with_hard_negatives: bool = True) -> set[str]:
        names = {name for triplet in self.triplets for name in (triplet.reference, triplet.target)}
        names |= {caption.image for caption in self.captions}
        if with_hard_negatives:
            names |= {name for triplet in self.triplets for name in triplet.hard_negatives}
        return names

    def names_in(self, cache: FeatureCache, views: int = 1) -> list[str]:
        """Return the names of the data's images, and of ``views`` of each, that ``cache`` has tokens of."""
        names = (view_name(name, view) for name in sorted(self._names()) for view in range(views))
        return [name for name in names if name in cache]


def drop_unreadable(
    data: TrainingData, cache: FeatureCache, images: Sequence[ImageRef], with_hard_negatives: bool = False
) -> tuple[TrainingData, list[SkippedImage]]:
    """Learn what the files of ``images`` hold, and return the data without those known not to be usable, and those.

    Raises:
        InputError: A file could not be read just now.
    """
    cache.learn_names(images)
    cache.require_read(images)
    skipped = cache.skipped(images)
    return data.without(skipped, with_hard_negatives), skipped


@contextmanager
def explain_skipped_images(skipped: Sequence[SkippedImage]) -> Iterator[None]:
    """Let an InputError of the block, of too little data say, tell of the images that cannot be used as well."""
    try:
        yield
    except InputError as error:
        if not skipped:
            raise
        raise InputError(
            f"{error.problem} {_counted(skipped)}.", f"Check the images, or else: {error.remedy}"
        ) from None


def _counted(skipped: Sequence[SkippedImage]) -> str:
    first = skipped[0]
    what = "image" if len(skipped) == 1 else "images"
    return f"{len(skipped)} {what} cannot be used, {first.name} first ({first.reason.rstrip('.')})"


def encode_views(
    cache: FeatureCache, images: Sequence[ImageRef], views: int, vision: VisionEncoder
) -> list[SkippedImage]:
    """Put the tokens of ``views`` views of each image into ``cache`` and return, and tell, which cannot be used.

    Raises:
        InputError: A file could not be read just now; the next time it may be.
    """
    seen = with_views(images, views)
    cache.add(seen, vision)
    cache.require_read(seen)
    skipped = cache.skipped(images)
    if skipped and this_process().is_main_process:
        notice(f"{_counted(skipped)}; training goes on without what names them.")
    return skipped


def token_source(cache: FeatureCache, data: TrainingData, settings: DataSettings) -> TokenSource:
    """Return where batches read from: the cache itself, or a copy of what they need on the model's device."""
    if not settings.resident:
        return cache
    return ResidentFeatures(cache, data.names_in(cache, settings.views), this_process().device)


def weights_identity(name: str | None, job: str) -> str:
    """Return the SHA-256 of the weights called ``name``, or "none" for no name.

    Args:
        name: A folder, a published name or a hub id.
        job: "retriever" or "generator".
    """
    return "none" if name is None else sha256_of(find_model_folder(name, job) / WEIGHTS_NAME)


def preset_identity(preset: str) -> dict[str, Any]:
    """Return what a training depends on besides its preset's name: the contents of one that is not shipped."""
    found = load_preset(preset).reference()
    return {"preset_contents": found.model_dump(mode="json")} if isinstance(found, Preset) else {}


def require_captions(steps: int, data: TrainingData) -> None:
    """Check that there are captions where a recipe begins with ``steps`` steps that read them.

    Raises:
        InputError: There are none.
    """
    if steps and not data.captions:
        raise InputError(
            f"The recipe begins with {steps} steps that read captions, and the data has none.",
            "Add captions.jsonl to the data folder, or --set captions.steps=0 (and words.steps=0 for a generator).",
        )


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
