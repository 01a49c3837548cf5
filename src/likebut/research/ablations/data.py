"""The training data of the ablations: fractions of the human triplets, and of the synthetic ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from random import Random

from likebut.data.folder import DataFolder
from likebut.data.triplets import ImageRef, Triplet
from likebut.errors import InputError
from likebut.research.ablations.plan import AblationFolders, AblationSettings, Training
from likebut.research.ablations.pool import SyntheticTexts, pair_of, pool_images
from likebut.training.batches import with_reversed
from likebut.training.data import TrainingData, merge

HUMAN = "human"

_TRAIN = "train"
# The target's caption comes first, because long texts are truncated at their end.
_PHRASINGS = ("{target}", "{target} instead of {reference}", "change it to {target}", "{target}, not {reference}")


class AblationData:
    """Provides the data of each training; synthetic texts are written at the first access.

    Args:
        folders: The folders of the ablations.
        settings: Their settings.
    """

    def __init__(self, folders: AblationFolders, settings: AblationSettings) -> None:
        self._folders, self._settings = folders, settings
        self._texts = SyntheticTexts(folders, settings)

    def check(self, trainings: Sequence[Training]) -> None:
        """Check everything that can be checked before long work.

        Raises:
            InputError: A training's triplets do not fill a batch, or there are no captions to compose texts from.
        """
        if any(training.texts == "captions" for training in trainings) and not self._captions:
            raise InputError(
                f"{self._folders.data.path} has no captions, from which the ablation text-source composes texts.",
                "Add captions.jsonl, or leave that ablation out with --only.",
                code="missing-captions",
            )
        if any(training.is_synthetic for training in trainings):
            pool_images(self._folders, self._settings)
        for training in trainings:
            if not training.is_synthetic:
                self._require_batch(training, self.of(training))

    def of(self, training: Training) -> TrainingData:
        """Return the data of a training.

        Raises:
            InputError: It does not fill a batch, or the texts cannot be written.
        """
        if not training.is_synthetic:
            triplets = sample_fraction(self.human, training.amount, training.seed)
            return merge([TrainingData(triplets, self.images), *self._also])
        fraction = training.amount / self._settings.largest_size
        triplets = sample_fraction(self.synthetic, fraction, training.seed)
        if training.texts == "captions":
            triplets = compose_from_captions(triplets, self._captions)
        data = TrainingData(triplets, self.images)
        self._require_batch(training, data)
        return data

    def write(self, trainings: Sequence[Training]) -> None:
        """Write all texts that ``trainings`` read."""
        for training in trainings:
            self.of(training)

    @cached_property
    def images(self) -> dict[str, ImageRef]:
        """Every image of the data folder, by name."""
        return self._folders.data.images()

    @cached_property
    def human(self) -> list[Triplet]:
        """The human training triplets (``meta.source`` is "human" or absent), all with a reverse modification text.

        Raises:
            InputError: There are none.
        """
        found = [t for t in self._folders.data.triplets(_TRAIN) if t.meta.get("source", HUMAN) == HUMAN]
        if not found:
            raise InputError(
                f'{self._folders.data.path} has no human triplets of the split "{_TRAIN}".',
                'Give a data folder whose triplets have "meta": {"source": "human"}, or no source.',
                code="missing-triplets",
            )
        return self._texts.with_reverse(found, self.images)

    @cached_property
    def synthetic(self) -> list[Triplet]:
        """The synthetic triplets of the largest size."""
        return self._texts.pool([t for t in self._folders.data.triplets() if t.meta.get("source", HUMAN) == HUMAN])

    @cached_property
    def _captions(self) -> dict[str, list[str]]:
        return self._folders.data.captions(self._settings.pool_split)

    @cached_property
    def _also(self) -> list[TrainingData]:
        return [_load_further(DataFolder.open(folder)) for folder in self._folders.also]

    def _require_batch(self, training: Training, data: TrainingData) -> None:
        size = self._settings.batch_size
        found = len(data.triplets if training.is_synthetic else with_reversed(data.triplets))
        if found < size:
            what = (
                f"{training.amount:g} pools of synthetic triplets"
                if training.is_synthetic
                else f"{training.amount:.0%} of the human triplets, in both directions,"
            )
            raise InputError(
                f"{what} are {found}, fewer than a batch of {size}.",
                f"Add --set batch_size={max(2, found)}.",
                code="too-few-triplets",
            )


def sample_fraction(triplets: Sequence[Triplet], fraction: float, seed: int) -> list[Triplet]:
    """Return the triplets of a random fraction of the image pairs, in their order.

    Both directions of a pair are sampled together, since each contains the other's text as its reverse. With one seed,
    the sample of a smaller fraction is a subset of that of a larger one.

    Args:
        triplets: The triplets.
        fraction: From 0 to 1; at least one pair is sampled.
        seed: Seed of the sample.
    """
    pairs = sorted({pair_of(triplet) for triplet in triplets})
    count = max(1, round(fraction * len(pairs)))
    chosen = set(Random(seed).sample(pairs, len(pairs))[:count])
    return [triplet for triplet in triplets if pair_of(triplet) in chosen]


def compose_from_captions(
    triplets: Sequence[Triplet], captions: Mapping[str, Sequence[str]], seed: int = 0
) -> list[Triplet]:
    """Return ``triplets`` with texts composed from the captions of their two images.

    Other work composes synthetic triplets so, with a language model that joins the captions. Here a few fixed phrasings
    do, so that the texts contain nothing but the captions.

    Args:
        triplets: Triplets whose images all have captions; those with a reverse text get a reverse text.
        captions: Image → its captions.
        seed: Seed of the choice of captions and phrasings, which otherwise depends on the two images only.
    """

    def text(reference: str, target: str) -> str:
        generator = Random(f"{seed}/{reference}/{target}")
        before, after = (generator.choice(captions[name]).strip().rstrip(".") for name in (reference, target))
        return generator.choice(_PHRASINGS).format(reference=before, target=after)

    composed = []
    for triplet in triplets:
        reverse = text(triplet.target, triplet.reference) if triplet.reverse_modification is not None else None
        forward = text(triplet.reference, triplet.target)
        composed.append(replace(triplet, modification=forward, reverse_modification=reverse))
    return composed


def _load_further(folder: DataFolder) -> TrainingData:
    """Return the training triplets of a further folder, which must have reverse modification texts."""
    triplets = folder.triplets(_TRAIN)
    lacking = sum(not triplet.reverse_modification for triplet in triplets)
    if lacking or not triplets:
        what = (
            f"{lacking} of {len(triplets)} training triplets without a reverse text" if triplets else "no such triplets"
        )
        raise InputError(
            f"{folder.path} must have training triplets with reverse texts, and has {what}.",
            "Leave it out, or write the texts first.",
            code="missing-triplets",
        )
    return TrainingData(triplets, folder.images())
