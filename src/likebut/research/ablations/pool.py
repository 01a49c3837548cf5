"""The synthetic texts of the ablations: mining the pool of pairs and writing its texts, and missing reverse texts."""

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
from likebut.research.ablations.plan import AblationFolders, AblationSettings
from likebut.synthesis.filters import Blocklist, FilterSettings
from likebut.synthesis.jobs import Job, write_about_pairs, write_reverse_texts
from likebut.synthesis.mining import MinedPair, mine_images
from likebut.synthesis.pair_file import write_pairs
from likebut.synthesis.run import run_precision
from likebut.synthesis.writing import WritingSettings
from likebut.training.run import weights_identity

_BATCH_SIZE = 64
# A GPU decodes hundreds of texts as fast as one; a shard has no more.
_GPU_BATCH_SIZE = 256


def pool_images(folders: AblationFolders, settings: AblationSettings) -> list[ImageRef]:
    """Return the images from which the pool is mined.

    These are the images of the pool's split that no other split's triplet names. If there are captions, only images
    with captions are used, so that the generator's texts and the texts composed from captions are for the same pairs.

    Raises:
        InputError: There are fewer than two.
    """
    images = folders.data.images()
    evaluated = {
        name
        for triplet in folders.data.triplets()
        if triplet.split != settings.pool_split or triplet.split == settings.split
        for name in triplet.images()
    }
    captioned = folders.data.captions(settings.pool_split)
    names = [
        name
        for name in folders.data.images_of(settings.pool_split)
        if name in images and name not in evaluated and (not captioned or name in captioned)
    ]
    if len(names) < 2:
        raise InputError(
            f'The split "{settings.pool_split}" of {folders.data.path} has {len(names)} images for the pool.',
            "Give another split with --set pool_split=NAME.",
            code="too-few-images",
        )
    return [images[name] for name in names]


def pair_of(triplet: Triplet) -> tuple[str, str]:
    """Return the names of a triplet's two images, the same for both directions."""
    first, second = sorted((triplet.reference, triplet.target))
    return first, second


@dataclass(frozen=True)
class SyntheticTexts:
    """Writes the texts that the ablations need, each set once.

    Attributes:
        folders: The folders of the ablations.
        settings: Their settings.
    """

    folders: AblationFolders
    settings: AblationSettings

    def pool(self, annotated: Sequence[Triplet]) -> list[Triplet]:
        """Return the synthetic triplets of ``settings.largest_size`` pools, both directions, that the filters kept.

        Args:
            annotated: Triplets whose pairs are excluded from the pool.

        Raises:
            InputError: The images give too few pairs, or no text was kept.
            MissingWeightsError: The generator's weights are not on this machine.
        """
        images = pool_images(self.folders, self.settings)
        generator = ModificationGenerator.from_pretrained(self.settings.generator)
        pairs = sorted({pair_of(triplet) for triplet in annotated})
        about = {"pool": self._contents(images, generator), "described": pairs, "count": self._count}
        folder = self.folders.out / "texts" / f"pool-{fingerprint([about, self._identity()])}"
        if not (folder / SUMMARY_NAME).is_file():
            mined = self._mine(images, generator, set(pairs))
            write_pairs(folder / "pairs.parquet", mined, {"pairs": len(mined), "settings": self.settings.model_dump()})
            write_about_pairs(folder, mined, {image.name: image for image in images}, self._job(folder, generator))
        found = read_synthetic(folder)
        if not found:
            raise InputError(
                f"None of the texts in {folder} was kept.",
                "Give a generator that was trained longer.",
                code="too-few-triplets",
            )
        return found

    def with_reverse(self, human: Sequence[Triplet], images: Mapping[str, ImageRef]) -> list[Triplet]:
        """Return human triplets with reverse modification texts; missing ones are written by the generator.

        The paper does this for its prototype loss. Triplets whose reverse text the filters drop are left out.
        """
        if all(triplet.reverse_modification for triplet in human):
            return list(human)
        generator = ModificationGenerator.from_pretrained(self.settings.generator)
        named = sorted({name for triplet in human for name in (triplet.reference, triplet.target)} & images.keys())
        contents = self._contents([images[name] for name in named], generator)
        about = {"triplets": [triplet.to_row() for triplet in human], "images": contents}
        folder = self.folders.out / "texts" / f"reverse-{fingerprint([about, self._identity()])}"
        if not (folder / "triplets.jsonl").is_file():
            write_reverse_texts(folder, human, images, self._job(folder, generator, keep_same_texts=True))
        return read_triplets(folder / "triplets.jsonl")

    @property
    def _count(self) -> int:
        return round(self.settings.pool * self.settings.largest_size)

    def _mine(
        self, images: Sequence[ImageRef], generator: ModificationGenerator, annotated: set[tuple[str, str]]
    ) -> list[MinedPair]:
        window = self.settings.pairs.model_copy(update={"limit": None})
        mined = mine_images(images, generator.vision, window, feature_folder=self.folders.features).pairs
        found = [
            pair
            for pair in mined
            if (min(pair.reference, pair.target), max(pair.reference, pair.target)) not in annotated
        ]
        if len(found) < self._count:
            raise InputError(
                f"The {len(images)} images give {len(found)} pairs without annotation; {self._count} are needed "
                f"({self.settings.largest_size:g} times a pool of {self.settings.pool}).",
                f"Add --set pool={max(1, int(len(found) / self.settings.largest_size))}, or a larger "
                f"--set pairs.neighbours={2 * window.neighbours}.",
                code="too-few-pairs",
            )
        return Random(window.seed).sample(found, self._count)

    def _contents(self, images: Sequence[ImageRef], generator: ModificationGenerator) -> list[str]:
        features = open_features(generator.vision, self.folders.features)
        features.learn_names(images)
        return [features.content(image.name) if features.knows(image.name) else image.name for image in images]

    def _identity(self) -> dict[str, object]:
        """Return what the texts depend on besides their images."""
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
            batch_size=_GPU_BATCH_SIZE if device.type == "cuda" else _BATCH_SIZE,
            precision=run_precision(folder, "auto", device),
        )
        # No round-trip filter: its retriever is trained on human triplets, which would reach every row through it.
        thresholds = {"round_trip_rank": None} | ({"same_text_share": None} if keep_same_texts else {})
        filters = FilterSettings.model_validate(thresholds)
        return Job(generator, None, writing, filters, Blocklist.load(), feature_folder=self.folders.features)
