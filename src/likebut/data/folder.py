"""The data-folder format: images, triplets, galleries and captions on disk (docs/data-format.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from likebut.data.images import list_images
from likebut.data.triplets import ImageRef, Query, Triplet, read_triplets
from likebut.errors import InputError
from likebut.files import read_jsonl


@dataclass(frozen=True, slots=True)
class Caption:
    """The captions of one image; training samples one of ``texts`` at a time."""

    image: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class DataFolder:
    """A folder with ``images/`` and, optionally, ``triplets.jsonl``, ``gallery.jsonl`` and ``captions.jsonl``.

    Nothing is kept in memory: each method reads what it returns.
    """

    path: Path

    @classmethod
    def open(cls, path: Path | str) -> "DataFolder":
        """Return the data folder at ``path``.

        Raises:
            InputError: The folder does not exist, or has no ``images/``.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise InputError(
                f"There is no folder {folder}.", "Check the path, or create one with `likebut data sample`."
            )
        if not (folder / "images").is_dir():
            raise InputError(
                f"The data folder {folder} has no images/ folder.", f"Put the images into {folder / 'images'}."
            )
        return cls(folder)

    def images(self) -> dict[str, ImageRef]:
        """Return the image files of the folder by name, sorted."""
        return {image.name: image for image in list_images(self.path / "images")}

    def triplets(self, split: str | None = None) -> list[Triplet]:
        """Return the triplets of one split, or of all splits."""
        return read_triplets(self.path / "triplets.jsonl", split)

    def gallery(self, split: str) -> list[str]:
        """Return the image names of a split's gallery, in the order of ``gallery.jsonl``, else sorted.

        Without ``gallery.jsonl`` every image is in every gallery.

        Raises:
            InputError: A line is invalid, or no line is of this split.
        """
        listing = self.path / "gallery.jsonl"
        if not listing.is_file():
            return list(self.images())
        names: dict[str, None] = {}
        for number, row in read_jsonl(listing):
            if not isinstance(row.get("image"), str) or not isinstance(row.get("split"), str):
                raise InputError(
                    f'{listing} line {number} lacks "image" or "split".', 'Write {"image": name, "split": "test"}.'
                )
            if row["split"] == split:
                names[row["image"]] = None
        if not names:
            raise InputError(f'{listing} lists no image of the split "{split}".', "Check the split's name.")
        return list(names)

    def images_of(self, split: str) -> list[str]:
        """Return the image names that belong to a split, for pair mining.

        With ``gallery.jsonl`` these are the split's gallery. Without it they are the images that no triplet of another
        split names, because images that a split is evaluated on must not be mined for another.

        Raises:
            InputError: The folder has no such split.
        """
        if (self.path / "gallery.jsonl").is_file():
            return self.gallery(split)
        if not (self.path / "triplets.jsonl").is_file():
            raise InputError(
                f'{self.path} has neither gallery.jsonl nor triplets.jsonl, so it has no split "{split}".',
                "Omit --split.",
            )
        triplets = self.triplets()
        if all(triplet.split != split for triplet in triplets):
            raise InputError(
                f'{self.path} has no split "{split}": it has no gallery.jsonl and no triplet of that split.',
                _splits_there(triplets),
            )
        others = {name for triplet in triplets if triplet.split != split for name in triplet.images()}
        return [name for name in self.images() if name not in others]

    def queries(self, split: str) -> list[Query]:
        """Return the composed queries of a split.

        Raises:
            InputError: The split has no triplets.
        """
        triplets = self.triplets(split)
        if not triplets:
            raise InputError(
                f'{self.path / "triplets.jsonl"} has no triplets of the split "{split}".',
                _splits_there(self.triplets()),
            )
        return [Query.from_triplet(triplet, position) for position, triplet in enumerate(triplets)]

    def captions(self, split: str) -> dict[str, list[str]]:
        """Return the captions of a split by image name; empty without ``captions.jsonl``.

        A line is ``{"split": "train", "image": name, "captions": ["…", …]}``; several lines may name one image.

        Raises:
            InputError: A line is invalid.
        """
        listing = self.path / "captions.jsonl"
        if not listing.is_file():
            return {}
        captions: dict[str, list[str]] = {}
        for number, row in read_jsonl(listing):
            texts = row.get("captions")
            is_list = isinstance(texts, list) and all(isinstance(text, str) and text.strip() for text in texts)
            named = isinstance(row.get("image"), str) and isinstance(row.get("split"), str)
            if not named or not texts or not is_list:
                raise InputError(
                    f'{listing} line {number} lacks "image", "split" or a list of texts as "captions".',
                    'Write {"image": name, "split": "train", "captions": ["…"]}.',
                )
            if row["split"] == split:
                captions.setdefault(row["image"], []).extend(row["captions"])
        return captions

    def attributes(self) -> dict[str, dict[str, str]]:
        """Return the attributes of each image (attribute → value) by image name: the ground truth for grounding.

        Raises:
            InputError: The folder has no ``attributes.jsonl``, or a line is invalid.
        """
        listing = self.path / "attributes.jsonl"
        attributes: dict[str, dict[str, str]] = {}
        for number, row in read_jsonl(listing):
            values = row.get("attributes")
            if not isinstance(row.get("image"), str) or not isinstance(values, dict):
                raise InputError(
                    f'{listing} line {number} lacks "image" or "attributes".',
                    'Write {"image": name, "attributes": {…}}.',
                )
            attributes[row["image"]] = {str(name): str(value) for name, value in values.items()}
        return attributes

    def require(self, names: Sequence[str], available: dict[str, ImageRef]) -> list[ImageRef]:
        """Return the images ``names`` out of those ``available``.

        Raises:
            InputError: Images have no file; the message has their number and the first name.
        """
        missing = [name for name in names if name not in available]
        if missing:
            raise InputError(
                f"{len(missing)} images named in {self.path} have no file below images/, the first is {missing[0]}.",
                f"Run `likebut data verify {self.path}` for the full list.",
            )
        return [available[name] for name in names]


def find_images(folder: Path, split: str | None = None) -> list[ImageRef]:
    """Return the images of a data folder, of one of its splits, or below a plain folder of images.

    Raises:
        InputError: The folder does not exist, has no images, or has no such split.
    """
    if not (folder / "images").is_dir():
        if split is not None and folder.is_dir():
            raise InputError(
                f'{folder} is not a data folder (it has no images/), so it has no split "{split}".', "Omit --split."
            )
        return list_images(folder)
    data = DataFolder.open(folder)
    available = data.images()
    if split is None:
        return list(available.values())
    return data.require(data.images_of(split), available)


def read_captions(folder: Path, split: str) -> list[Caption]:
    """Return the captions of one split of a data folder, one item per image; empty without ``captions.jsonl``.

    Raises:
        InputError: A line is invalid.
    """
    return [Caption(image, tuple(texts)) for image, texts in DataFolder(folder).captions(split).items()]


def _splits_there(triplets: Sequence[Triplet]) -> str:
    return f"Known splits: {', '.join(sorted({triplet.split for triplet in triplets})) or 'none'}."
