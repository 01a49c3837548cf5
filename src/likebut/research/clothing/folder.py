"""Writing the photographs of clothing as a data folder (``docs/data-format.md``)."""

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
_MIN_FRACTION = 0.5


class ClothingSettings(BaseModel):
    """The generated content of a data folder of clothing, beyond the photographs and the written texts.

    Attributes:
        seed: Seed of all randomness.
        derived_per_image: Triplets derived from the attributes, for each training photograph.
        captions_per_image: Captions composed from the attributes, for each training photograph.
        plain: Whether every derived text is plain, as for training a generator.
        most_changes: Maximum number of differing attributes of a derived triplet.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    derived_per_image: int = Field(default=4, ge=0)
    captions_per_image: int = Field(default=3, ge=0)
    plain: bool = False
    most_changes: int = Field(default=3, ge=1, le=MOST_CHANGES)


@dataclass(frozen=True)
class ClothingCounts:
    """The size of a finished folder.

    Attributes:
        images: Number of photographs.
        human: Number of triplets with a text written for their pair.
        derived: Number of triplets derived from attributes.
        missing: Annotated photographs without a file.
    """

    images: int
    human: int
    derived: int
    missing: tuple[SkippedImage, ...]


def make_clothing(
    folder: Path, root: Path, settings: ClothingSettings, is_allowed: Callable[[str], bool] = lambda _: True
) -> ClothingCounts:
    """Write the data folder, or resume an earlier run.

    The same settings and photographs give the same bytes. ``triplets.jsonl`` is written last.

    Args:
        folder: The output folder.
        root: The photographs' folder (:func:`locate_photographs`).
        settings: The generated content.
        is_allowed: Whether a derived text or a caption may be shown.

    Raises:
        InputError: Fewer than half of a split's photographs exist, or the folder contains something else.
        ResumeError: The folder was started with other settings.
    """
    images = locate_photographs(root, load_photographs())
    missing = _missing(images)
    _require_enough(root, missing)
    _begin(folder, settings)
    present = {name: image for name, image in images.items() if name not in {each.name for each in missing}}
    _link_images(folder / "images", present.values())
    photographs = [photograph for name, photograph in load_photographs().items() if name in present]
    training = [photograph for photograph in photographs if photograph.split == "train"]
    human = list(_human_triplets(present.keys()))
    writer = DerivedTriplets(training, settings.seed, is_allowed, settings.plain, settings.most_changes)
    derived = list(writer.write(settings.derived_per_image))
    write_jsonl(
        folder / "gallery.jsonl",
        ({"image": name, "split": split} for name, split in load_gallery() if name in present),
    )
    write_jsonl(folder / "attributes.jsonl", map(_attributes_row, photographs))
    write_jsonl(folder / "captions.jsonl", _caption_rows(training, settings, is_allowed))
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
        if found < _MIN_FRACTION * len(wanted):
            raise InputError(
                f"{root} contains {found} of the {len(wanted)} photographs of the split {split}; "
                f"{next(name for name in wanted if name in names)} is missing, for example.",
                "Give the public collection's folder; see `likebut data info clothing`.",
                code="missing-photographs",
            )


def _begin(folder: Path, settings: ClothingSettings) -> None:
    """Write the header, or check it against the settings."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder.", "Give another name.", code="not-a-folder")
    path = folder / HEADER_NAME
    header = {"format": _FORMAT, "settings": settings.model_dump()}
    if path.is_file():
        remove_temporaries(folder)
        if _with_defaults(started := read_json(path)) != header:
            raise ResumeError(
                f"The data in {folder} was started with the settings {started}, not {header}.",
                "Give the same settings, or another folder.",
            )
        return
    if folder.is_dir() and any(not entry.name.endswith(".tmp") for entry in folder.iterdir()):
        raise InputError(f"The folder {folder} is not empty.", "Give a new or an empty folder.", code="folder-in-use")
    write_json(path, header)


def _with_defaults(header: Any) -> Any:
    """Return a header with the defaults of settings that were added after it was written; anything else unchanged."""
    settings = header.get("settings") if isinstance(header, dict) else None
    if not isinstance(settings, dict):
        return header
    return header | {"settings": ClothingSettings().model_dump() | settings}


def _link_images(folder: Path, images: Iterable[ImageRef]) -> None:
    """Link each photograph into ``folder``, or copy it if it is on another file system."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    pending = [image for image in images if not (folder / image.name).exists()]
    with track("linking photographs", len(pending), "photographs") as meter:
        for image in pending:
            try:
                # Atomic, and without a copy.
                os.link(image.path.resolve(), folder / image.name)
            except OSError:
                with atomic_path(folder / image.name) as temporary:
                    shutil.copyfile(image.path, temporary)
            meter.advance()


def _human_triplets(present: Iterable[str]) -> Iterator[Triplet]:
    """Yield the written triplets whose reference and target photographs exist."""
    known = set(present)
    for triplet in load_triplets():
        if {triplet.reference, triplet.target} <= known:
            subset = tuple(name for name in triplet.subset if name in known)
            yield replace(triplet, subset=subset, meta={"source": "human"})


def _attributes_row(photograph: Photograph) -> dict[str, Any]:
    return {"image": photograph.image, "split": photograph.split, "attributes": attributes_of(photograph)}


def _caption_rows(
    photographs: Iterable[Photograph], settings: ClothingSettings, is_allowed: Callable[[str], bool]
) -> Iterator[dict[str, Any]]:
    for photograph in photographs:
        generator = Random(f"{settings.seed}/captions/{photograph.image}")
        captions = captions_of(photograph, generator, settings.captions_per_image, is_allowed)
        if captions:
            yield {"image": photograph.image, "split": photograph.split, "captions": captions}
