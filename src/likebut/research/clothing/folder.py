"""The photographs of clothing as an ordinary data folder (``docs/data-format.md``)."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef, Triplet, write_triplets
from likebut.errors import InputError, ResumeError
from likebut.files import atomic_path, read_json, remove_temporaries, write_json, write_jsonl
from likebut.progress import track
from likebut.research.clothing.annotations import (
    SPLITS,
    Photograph,
    load_gallery,
    load_photographs,
    load_triplets,
    locate_photographs,
)
from likebut.research.clothing.attributes import attributes_of
from likebut.research.clothing.captions import captions_of
from likebut.research.clothing.derived_triplets import MOST_CHANGES, DerivedTriplets

HEADER_NAME = "clothing.json"
_FORMAT = 1
_LEAST_SHARE = 0.5


class ClothingSettings(BaseModel):
    """What a data folder of clothing holds beside the photographs and the texts written about them.

    Attributes:
        seed: Makes every choice.
        derived_per_image: Triplets derived from the attributes, for each training photograph.
        captions_per_image: Captions composed from the attributes, for each training photograph.
        plain: Whether every derived text is plain, which is what a generator is grounded with.
        most_changes: In how many attributes a derived triplet's photographs differ at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    derived_per_image: int = Field(default=4, ge=0)
    captions_per_image: int = Field(default=3, ge=0)
    plain: bool = False
    most_changes: int = Field(default=3, ge=1, le=MOST_CHANGES)


@dataclass(frozen=True)
class ClothingCounts:
    """What a finished folder holds.

    Attributes:
        images: Photographs.
        human: Triplets that were written for their pair.
        derived: Triplets derived from attributes.
        missing: Photographs that are annotated and were not found.
    """

    images: int
    human: int
    derived: int
    missing: tuple[SkippedImage, ...]


def make_clothing(
    folder: Path, root: Path, settings: ClothingSettings, may_be_said: Callable[[str], bool] = lambda _: True
) -> ClothingCounts:
    """Write the data folder, or finish what an earlier run began there.

    The same settings and photographs give the same bytes. ``triplets.jsonl`` comes last.

    Args:
        folder: Where to.
        root: Where the photographs are (:func:`locate_photographs`).
        settings: What else it holds.
        may_be_said: Whether a derived text or a caption may be shown to people.

    Raises:
        InputError: Fewer than half of a split's photographs are there, or the folder holds something else.
        ResumeError: The folder was begun with other settings.
    """
    images = locate_photographs(root, load_photographs())
    missing = _missing(images)
    _require_enough(root, missing)
    _begin(folder, settings)
    present = {name: image for name, image in images.items() if name not in {each.name for each in missing}}
    _lay_images(folder / "images", present.values())
    photographs = [photograph for name, photograph in load_photographs().items() if name in present]
    training = [photograph for photograph in photographs if photograph.split == "train"]
    human = list(_human_triplets(present.keys()))
    writer = DerivedTriplets(training, settings.seed, may_be_said, settings.plain, settings.most_changes)
    derived = list(writer.write(settings.derived_per_image))
    write_jsonl(
        folder / "gallery.jsonl",
        ({"image": name, "split": split} for name, split in load_gallery() if name in present),
    )
    write_jsonl(folder / "attributes.jsonl", map(_attributes_row, photographs))
    write_jsonl(folder / "captions.jsonl", _caption_rows(training, settings, may_be_said))
    write_jsonl(folder / "missing.jsonl", (each.to_json() for each in missing))
    write_triplets(folder / "triplets.jsonl", [*human, *derived])
    return ClothingCounts(len(present), len(human), len(derived), missing)


def _missing(images: Mapping[str, ImageRef]) -> tuple[SkippedImage, ...]:
    return tuple(
        SkippedImage(image.name, f"There is no file {image.path}.")
        for image in images.values()
        if not image.path.is_file()
    )


def _require_enough(root: Path, missing: Sequence[SkippedImage]) -> None:
    names = {each.name for each in missing}
    for split in SPLITS:
        wanted = [name for name, photograph in load_photographs().items() if photograph.split == split]
        found = sum(name not in names for name in wanted)
        if found < _LEAST_SHARE * len(wanted):
            raise InputError(
                f"{root} holds {found} of the {len(wanted)} photographs of the split {split}; "
                f"{next(name for name in wanted if name in names)} is missing, for one.",
                "Give the public collection's folder; `likebut data info clothing` says where it is.",
            )


def _begin(folder: Path, settings: ClothingSettings) -> None:
    """Write the header, or check it against the settings."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder.", "Give another name.")
    path = folder / HEADER_NAME
    header = {"format": _FORMAT, "settings": settings.model_dump()}
    if path.is_file():
        remove_temporaries(folder)
        if _with_defaults(begun := read_json(path)) != header:
            raise ResumeError(
                f"The data in {folder} was begun with the settings {begun}, not {header}.",
                "Give the same settings, or another folder.",
            )
        return
    if folder.is_dir() and any(not entry.name.endswith(".tmp") for entry in folder.iterdir()):
        raise InputError(f"The folder {folder} holds something else already.", "Give a new or an empty folder.")
    write_json(path, header)


def _with_defaults(header: Any) -> Any:
    """Return a header with the settings that were added after it was written; what is none, as it is."""
    settings = header.get("settings") if isinstance(header, dict) else None
    if not isinstance(settings, dict):
        return header
    return header | {"settings": ClothingSettings().model_dump() | settings}


def _lay_images(folder: Path, images: Iterable[ImageRef]) -> None:
    """Link each photograph into ``folder``, or copy it where it lies on another disk."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    left = [image for image in images if not (folder / image.name).exists()]
    with track("laying out photographs", len(left), "photographs") as meter:
        for image in left:
            try:
                # Whole at once, and its content is on the disk already.
                os.link(image.path.resolve(), folder / image.name)
            except OSError:
                with atomic_path(folder / image.name) as temporary:
                    shutil.copyfile(image.path, temporary)
            meter.advance()


def _human_triplets(present: Iterable[str]) -> Iterator[Triplet]:
    """Yield the written triplets whose photographs are there; the gallery search needs no more than those two."""
    known = set(present)
    for triplet in load_triplets():
        if {triplet.reference, triplet.target} <= known:
            subset = tuple(name for name in triplet.subset if name in known)
            yield replace(triplet, subset=subset, meta={"source": "human"})


def _attributes_row(photograph: Photograph) -> dict[str, Any]:
    return {"image": photograph.image, "split": photograph.split, "attributes": attributes_of(photograph)}


def _caption_rows(
    photographs: Iterable[Photograph], settings: ClothingSettings, may_be_said: Callable[[str], bool]
) -> Iterator[dict[str, Any]]:
    for photograph in photographs:
        generator = Random(f"{settings.seed}/captions/{photograph.image}")
        captions = captions_of(photograph, generator, settings.captions_per_image, may_be_said)
        if captions:
            yield {"image": photograph.image, "split": photograph.split, "captions": captions}
