"""Taking a part of some triplets by lot, pair by pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from likebut.data.synthetic_triplets import SUMMARY_NAME, read_synthetic
from likebut.data.triplets import ImageRef, Triplet, read_triplets
from likebut.errors import InputError
from likebut.features.cache import open_features
from likebut.files import fingerprint
from likebut.generator.generator import ModificationGenerator
from likebut.research.ablations.plan import AblationSettings, Place
from likebut.synthesis.filters import Blocklist, FilterSettings
from likebut.synthesis.jobs import Job, write_about_pairs, write_reverse_texts
from likebut.synthesis.mining import MinedPair, mine_images
from likebut.synthesis.pair_file import write_pairs
from likebut.synthesis.run import run_precision
from likebut.synthesis.writing import WritingSettings
from likebut.training.run import weights_identity


def draw_share(triplets: Sequence[Triplet], share: float, seed: int) -> list[Triplet]:
    """Return the triplets of a share of the image pairs, in their order.

    Both directions of a pair go together, since each knows the other's text as its reverse. With one seed, what a
    smaller share draws is part of what a larger one draws.

    Args:
        triplets: What to draw from.
        share: From 0 to 1; at least one pair is drawn.
        seed: Of the lot.
    """
    pairs = sorted({pair_of(triplet) for triplet in triplets})
    count = max(1, round(share * len(pairs)))
    chosen = set(Random(seed).sample(pairs, len(pairs))[:count])
    return [triplet for triplet in triplets if pair_of(triplet) in chosen]


def pair_of(triplet: Triplet) -> tuple[str, str]:
    """Return the names of the two images, the same for both directions."""
    first, second = sorted((triplet.reference, triplet.target))
    return first, second


_TEXTS_AT_ONCE = 64
# Hundreds take a GPU no longer than one; a shard has no more.
_TEXTS_AT_ONCE_ON_A_GPU = 256


def pool_images(place: Place, settings: AblationSettings) -> list[ImageRef]:
    """Return the photographs that the pool is mined from.

    They are the training split's, without any that another split's triplets name, and where there are captions only
    those that have one: texts of the generator and texts from captions are then about the same pairs.

    Raises:
        InputError: There are fewer than two.
    """
    images = place.data.images()
    measured = {
        name
        for triplet in place.data.triplets()
        if triplet.split != settings.pool_split or triplet.split == settings.split
        for name in triplet.images()
    }
    captioned = place.data.captions(settings.pool_split)
    names = [
        name
        for name in place.data.images_of(settings.pool_split)
        if name in images and name not in measured and (not captioned or name in captioned)
    ]
    if len(names) < 2:
        raise InputError(
            f'The split "{settings.pool_split}" of {place.data.path} has {len(names)} photographs for the pool.',
            "Give another split with --set pool_split=NAME.",
        )
    return [images[name] for name in names]


@dataclass(frozen=True)
class Writer:
    """Writes the texts that the ablations need, each set once.

    Attributes:
        place: Where the data is, and where to write.
        settings: How.
    """

    place: Place
    settings: AblationSettings

    def pool(self, described: Sequence[Triplet]) -> list[Triplet]:
        """Return the synthetic triplets of ``settings.largest_size`` pools, both directions, those that were kept.

        Args:
            described: Triplets whose pairs are not undescribed and stay out of the pool.

        Raises:
            InputError: The photographs give too few pairs, or no text was kept.
            MissingWeightsError: The generator's weights are not on this machine.
        """
        images = pool_images(self.place, self.settings)
        generator = ModificationGenerator.from_pretrained(self.settings.generator)
        pairs = sorted({pair_of(triplet) for triplet in described})
        about = {"pool": self._contents(images, generator), "described": pairs, "count": self._count}
        folder = self.place.out / "texts" / f"pool-{fingerprint([about, self._identity()])}"
        if not (folder / SUMMARY_NAME).is_file():
            mined = self._mine(images, generator, set(pairs))
            write_pairs(folder / "pairs.parquet", mined, {"pairs": len(mined), "settings": self.settings.model_dump()})
            write_about_pairs(folder, mined, {image.name: image for image in images}, self._job(folder, generator))
        found = read_synthetic(folder)
        if not found:
            raise InputError(f"Of the texts in {folder} none was kept.", "Give a generator that was trained longer.")
        return found

    def with_reverse(self, human: Sequence[Triplet], images: Mapping[str, ImageRef]) -> list[Triplet]:
        """Return human triplets with reverse texts, those that lack one with what the generator writes.

        As the paper does for its prototype loss; a triplet whose reverse text a filter drops is left out of every row.
        """
        if all(triplet.reverse_modification for triplet in human):
            return list(human)
        generator = ModificationGenerator.from_pretrained(self.settings.generator)
        named = sorted({name for triplet in human for name in (triplet.reference, triplet.target)} & images.keys())
        contents = self._contents([images[name] for name in named], generator)
        about = {"triplets": [triplet.to_row() for triplet in human], "images": contents}
        folder = self.place.out / "texts" / f"reverse-{fingerprint([about, self._identity()])}"
        if not (folder / "triplets.jsonl").is_file():
            write_reverse_texts(folder, human, images, self._job(folder, generator, keep_same_texts=True))
        return read_triplets(folder / "triplets.jsonl")

    @property
    def _count(self) -> int:
        return round(self.settings.pool * self.settings.largest_size)

    def _mine(
        self, images: Sequence[ImageRef], generator: ModificationGenerator, described: set[tuple[str, str]]
    ) -> list[MinedPair]:
        window = self.settings.pairs.model_copy(update={"limit": None})
        mined = mine_images(images, generator.vision, window, feature_folder=self.place.features).pairs
        found = [
            pair
            for pair in mined
            if (min(pair.reference, pair.target), max(pair.reference, pair.target)) not in described
        ]
        if len(found) < self._count:
            raise InputError(
                f"The {len(images)} photographs give {len(found)} undescribed pairs, and {self._count} are wanted "
                f"({self.settings.largest_size:g} times a pool of {self.settings.pool}).",
                f"Add --set pool={max(1, int(len(found) / self.settings.largest_size))}, or a larger "
                f"--set pairs.neighbours={2 * window.neighbours}.",
            )
        return Random(window.seed).sample(found, self._count)

    def _contents(self, images: Sequence[ImageRef], generator: ModificationGenerator) -> list[str]:
        features = open_features(generator.vision, self.place.features)
        features.learn_names(images)
        return [features.content(image.name) if features.knows(image.name) else image.name for image in images]

    def _identity(self) -> dict[str, object]:
        """Return what texts depend on besides what they are about."""
        settings = self.settings
        return {
            "generator": weights_identity(settings.generator, "generator"),
            "pairs": settings.pairs.model_dump(exclude={"limit"}),
            "decoding": settings.decoding.model_dump(),
            "blocklist": Blocklist.load().fingerprint(),
        }

    def _job(self, folder: Path, generator: ModificationGenerator, keep_same_texts: bool = False) -> Job:
        device = torch.device(generator.device)
        writing = WritingSettings(
            decoding=self.settings.decoding,
            batch_size=_TEXTS_AT_ONCE_ON_A_GPU if device.type == "cuda" else _TEXTS_AT_ONCE,
            precision=run_precision(folder, "auto", device),
        )
        # No round trip: the retriever that made it would have learnt from human triplets, and so would every row.
        strictness = {"round_trip_rank": None} | ({"same_text_share": None} if keep_same_texts else {})
        filters = FilterSettings.model_validate(strictness)
        return Job(generator, None, writing, filters, Blocklist.load(), feature_folder=self.place.features)
