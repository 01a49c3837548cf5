"""Modification texts composed from the captions of the two images, as other work makes its synthetic triplets.

Those works let a language model join the captions; here it is a handful of phrasings, so that nothing but the captions
decides what is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from random import Random

from likebut.data.folder import DataFolder
from likebut.data.triplets import ImageRef, Triplet
from likebut.errors import InputError
from likebut.research.ablations.plan import AblationSettings, Place, Training
from likebut.research.ablations.pool import Writer, draw_share, pool_images
from likebut.training.batches import with_reversed
from likebut.training.data import TrainingData, merge

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


HUMAN = "human"
_TRAIN = "train"


class Material:
    """Hands out training data; what must be written for it is written when it is first asked for.

    Args:
        place: Where the data is.
        settings: How much of it there is.
    """

    def __init__(self, place: Place, settings: AblationSettings) -> None:
        self._place, self._settings = place, settings
        self._writer = Writer(place, settings)

    def check(self, trainings: Sequence[Training]) -> None:
        """Check what can be checked before long work.

        Raises:
            InputError: A training's triplets would not fill a batch, or there are no captions to compose texts from.
        """
        if any(training.texts == "captions" for training in trainings) and not self._captions:
            raise InputError(
                f"{self._place.data.path} has no captions, from which the ablation text-source composes texts.",
                "Add captions.jsonl, or leave that ablation out with --only.",
            )
        if any(training.is_synthetic for training in trainings):
            pool_images(self._place, self._settings)
        for training in trainings:
            if not training.is_synthetic:
                self._require_batch(training, self.of(training))

    def of(self, training: Training) -> TrainingData:
        """Return what a training learns from.

        Raises:
            InputError: It would not fill a batch, or the texts cannot be written.
        """
        if not training.is_synthetic:
            triplets = draw_share(self.human, training.amount, training.seed)
            return merge([TrainingData(triplets, self.images), *self._also])
        share = training.amount / self._settings.largest_size
        triplets = draw_share(self.written, share, training.seed)
        if training.texts == "captions":
            triplets = composed(triplets, self._captions)
        data = TrainingData(triplets, self.images)
        self._require_batch(training, data)
        return data

    def write(self, trainings: Sequence[Training]) -> None:
        """Have all texts written that ``trainings`` learn from."""
        for training in trainings:
            self.of(training)

    @cached_property
    def images(self) -> dict[str, ImageRef]:
        """Every photograph of the data folder, by name."""
        return self._place.data.images()

    @cached_property
    def human(self) -> list[Triplet]:
        """The training triplets that people wrote, all with a reverse text.

        They are those marked so (``meta.source``), and those that bear no mark.

        Raises:
            InputError: There are none.
        """
        found = [t for t in self._place.data.triplets(_TRAIN) if t.meta.get("source", HUMAN) == HUMAN]
        if not found:
            raise InputError(
                f'{self._place.data.path} has no human triplets of the split "{_TRAIN}".',
                'Give a data folder whose triplets have "meta": {"source": "human"}, or no such mark.',
            )
        return self._writer.with_reverse(found, self.images)

    @cached_property
    def written(self) -> list[Triplet]:
        """The synthetic triplets of the largest size."""
        return self._writer.pool([t for t in self._place.data.triplets() if t.meta.get("source", HUMAN) == HUMAN])

    @cached_property
    def _captions(self) -> dict[str, list[str]]:
        return self._place.data.captions(self._settings.pool_split)

    @cached_property
    def _also(self) -> list[TrainingData]:
        return [_further(DataFolder.open(folder)) for folder in self._place.also]

    def _require_batch(self, training: Training, data: TrainingData) -> None:
        size = self._settings.batch_size
        found = len(data.triplets if training.is_synthetic else with_reversed(data.triplets))
        if found < size:
            part = f"{training.amount:g} pools of written" if training.is_synthetic else f"{training.amount:.0%} of the"
            what = "triplets" if training.is_synthetic else "human triplets, both directions,"
            raise InputError(
                f"{part} {what} are {found}, fewer than a batch of {size}.", f"Add --set batch_size={max(2, found)}."
            )


def _further(folder: DataFolder) -> TrainingData:
    """Return the training triplets of a further folder, whose reverse texts nobody writes here."""
    triplets = folder.triplets(_TRAIN)
    lacking = sum(not triplet.reverse_modification for triplet in triplets)
    if lacking or not triplets:
        what = f"{lacking} of {len(triplets)} training triplets without a reverse text" if triplets else "none"
        raise InputError(
            f"{folder.path} should bring training triplets, and has {what}.", "Leave it out, or write the texts first."
        )
    return TrainingData(triplets, folder.images())
