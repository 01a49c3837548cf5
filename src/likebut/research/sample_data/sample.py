"""Writing the sample benchmark: families of drawings, their triplets, captions and attributes.

A family is six drawings that differ from one another in one to three attributes, or in their look only.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import combinations, product
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from likebut.data.triplets import Triplet, write_triplets
from likebut.errors import InputError, ResumeError
from likebut.files import read_json, remove_temporaries, write_json, write_jsonl
from likebut.progress import Meter, track
from likebut.research.sample_data.attributes import (
    STYLE_NAMES,
    DrawingStyle,
    Scene,
    changes_between,
    load_style,
)
from likebut.research.sample_data.captions import write_captions
from likebut.research.sample_data.grammar import Grammar
from likebut.research.sample_data.rendering import draw_files
from likebut.research.sample_data.truth import SplitTruth

FAMILY_SIZE = 6
MOST_CHANGES = 3
LABELLED_SPLITS = ("train", "val", "test")
POOL = "pool"

Families = list[dict[str, Scene]]
Texts = Literal["free", "plain"]

_FORMAT = 1
_PACKAGES = ("dicebear-core", "dicebear-styles", "resvg_py", "pillow")
_WORKERS = 16
_TWIN_FRACTION = 0.25
_CUBE_FRACTION = 0.7


class SampleSettings(BaseModel):
    """The size and content of the sample benchmark.

    Attributes:
        seed: Seed of all randomness.
        train_families: Number of families of six images with training triplets.
        val_families: The same for validation.
        test_families: The same for testing.
        pool_families: Number of families of six images without texts.
        queries_per_family: Triplets for each labelled family.
        captions_per_image: Captions for each training image.
        training_texts: "free" (many phrasings) or "plain" (one phrasing for each change) training texts; those for
            validation and testing are always free.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    train_families: int = Field(default=200, ge=0)
    val_families: int = Field(default=60, ge=0)
    test_families: int = Field(default=84, ge=0)
    pool_families: int = Field(default=400, ge=0)
    queries_per_family: int = Field(default=6, ge=1, le=30)
    captions_per_image: int = Field(default=4, ge=0)
    training_texts: Texts = "free"

    def families(self, split: str) -> int:
        """Return the number of families of a split."""
        count = getattr(self, f"{split}_families")
        assert isinstance(count, int)
        return count


@dataclass(frozen=True)
class SampleCounts:
    """The size of a finished sample."""

    images: int
    triplets: int


def make_sample(folder: Path, settings: SampleSettings) -> SampleCounts:
    """Write the sample benchmark to ``folder``, or resume an earlier run.

    The same settings give the same bytes. ``triplets.jsonl`` is written last: where it exists, the sample is complete.

    Raises:
        InputError: The folder contains something else.
        ResumeError: The folder was started with other settings or other versions of the drawing libraries.
    """
    _begin(folder, settings)
    families = draw_all_families(settings)
    scenes = {name: scene for group in families.values() for family in group for name, scene in family.items()}
    for split in families:
        if (folder / "images" / split).is_dir():
            remove_temporaries(folder / "images" / split)
    draw_files(folder / "images", scenes, min(_WORKERS, os.cpu_count() or 1))
    if not (folder / "triplets.jsonl").is_file():
        write_jsonl(folder / "gallery.jsonl", ({"image": name, "split": _split_of(name)} for name in scenes))
        write_jsonl(folder / "attributes.jsonl", map(_attributes_row, scenes, scenes.values()))
        write_jsonl(folder / "captions.jsonl", _caption_rows(families["train"], settings))
        write_triplets(folder / "triplets.jsonl", _all_triplets(folder / "images", families, settings))
    with (folder / "triplets.jsonl").open(encoding="utf-8") as lines:
        return SampleCounts(len(scenes), sum(1 for _ in lines))


def draw_all_families(settings: SampleSettings) -> dict[str, Families]:
    """Return the families of every split, name → scene; no drawing occurs twice."""
    seen: set[Scene] = set()
    # Test first, so that the number of training families does not change the test split.
    drawn = {split: _draw_families(split, settings, seen) for split in ("test", "val", "train", POOL)}
    return {split: drawn[split] for split in (*LABELLED_SPLITS, POOL)}


def draw_family(generator: Random) -> list[Scene]:
    """Return six distinct scenes of one style.

    They are six corners of a cube (three attributes, two values each) or a grid (two attributes, three values by two),
    so that for most pairs that differ in several attributes the partial edit exists too. In a quarter of the families
    one scene is a twin: another's content in another look, so that a query can have two targets.
    """
    while True:
        style = load_style(generator.choice(STYLE_NAMES))
        base = _random_scene(style, generator)
        is_cube = generator.random() < _CUBE_FRACTION
        scenes = [
            base.replace(changes) for changes in _variations(base, style, (2, 2, 2) if is_cube else (3, 2), generator)
        ]
        scenes = generator.sample(scenes, FAMILY_SIZE)
        if generator.random() < _TWIN_FRACTION:
            scenes[-1] = _twin(scenes[0], style, generator)
        if _is_valid(scenes, style):
            generator.shuffle(scenes)
            return scenes


def _begin(folder: Path, settings: SampleSettings) -> None:
    """Write ``sample.json``, or check it against the settings."""
    header = {
        "format": _FORMAT,
        "settings": settings.model_dump(),
        "versions": {package: version(package) for package in _PACKAGES},
    }
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder.", "Give another name.", code="not-a-folder")
    path = folder / "sample.json"
    if path.is_file():
        remove_temporaries(folder)
        _require_same(folder, read_json(path), header)
        return
    if folder.is_dir() and any(not entry.name.endswith(".tmp") for entry in folder.iterdir()):
        raise InputError(
            f"The folder {folder} contains something other than a sample.",
            "Give a new or an empty folder.",
            code="folder-in-use",
        )
    write_json(path, header)


def _require_same(folder: Path, started: Any, header: Mapping[str, Any]) -> None:
    if not isinstance(started, dict):
        raise InputError(f"{folder / 'sample.json'} is not an object.", "Give a new folder.", code="invalid-header")
    for group in ("settings", "versions"):
        for name, value in header[group].items():
            found = started.get(group, {}).get(name)
            if found != value:
                raise ResumeError(
                    f"The sample in {folder} was started with {name} = {found}, not {value}.",
                    "Give the same settings, or another folder.",
                )
    if started.get("format") != header["format"]:
        raise ResumeError(f"The sample in {folder} was started by another version of likebut.", "Give another folder.")


def _draw_families(split: str, settings: SampleSettings, seen: set[Scene]) -> Families:
    families = []
    for number in range(settings.families(split)):
        generator = Random(f"{settings.seed}/{split}/{number}")
        scenes = draw_family(generator)
        while seen & {scene.visible() for scene in scenes}:
            scenes = draw_family(generator)
        seen.update(scene.visible() for scene in scenes)
        families.append({f"{split}/{number:04d}-{place}.png": scene for place, scene in enumerate(scenes)})
    return families


def _random_scene(style: DrawingStyle, generator: Random) -> Scene:
    values = tuple((name, generator.choice(list(choices))) for name, choices in style.attributes.items())
    return Scene(style.name, generator.randrange(len(style.looks)), values)


def _variations(base: Scene, style: DrawingStyle, counts: tuple[int, ...], generator: Random) -> list[dict[str, str]]:
    """Return every combination of a few values of a few visible attributes of ``base``."""
    names = generator.sample(list(base.spoken), len(counts))
    chosen = [generator.sample(list(style.attributes[name]), count) for name, count in zip(names, counts, strict=True)]
    return [dict(zip(names, values, strict=True)) for values in product(*chosen)]


def _twin(scene: Scene, style: DrawingStyle, generator: Random) -> Scene:
    others = [look for look in range(len(style.looks)) if look != scene.look]
    return Scene(scene.style, generator.choice(others), scene.values)


def _is_valid(scenes: list[Scene], style: DrawingStyle) -> bool:
    if (
        any(style.clash(dict(scene.values)) for scene in scenes)
        or len({(s.look, *s.values) for s in scenes}) < FAMILY_SIZE
    ):
        return False
    return all(
        len(changes_between(one.spoken, other.spoken)) <= MOST_CHANGES
        and (one.attributes == other.attributes) == (one.look != other.look and one.values == other.values)
        for first, second in combinations(scenes, 2)
        for one, other in ((first, second), (second, first))
    )


def _split_of(name: str) -> str:
    return name.split("/")[0]


def _attributes_row(name: str, scene: Scene) -> dict[str, Any]:
    return {"image": name, "split": _split_of(name), "style": scene.style, "attributes": scene.spoken}


def _caption_rows(families: Families, settings: SampleSettings) -> Iterator[dict[str, Any]]:
    for family in families if settings.captions_per_image else ():
        for name, scene in family.items():
            generator = Random(f"{settings.seed}/captions/{name}")
            captions = write_captions(scene.style, scene.spoken, generator, settings.captions_per_image)
            yield {"image": name, "split": _split_of(name), "captions": captions}


def _all_triplets(images: Path, families: Mapping[str, Families], settings: SampleSettings) -> Iterator[Triplet]:
    total = sum(len(families[split]) for split in LABELLED_SPLITS)
    with track("writing texts", total, "families") as meter:
        for split in LABELLED_SPLITS:
            yield from _split_triplets(split, SplitTruth(images, families[split]), settings, meter)


def _split_triplets(split: str, truth: SplitTruth, settings: SampleSettings, meter: Meter) -> Iterator[Triplet]:
    for number, family in enumerate(truth.families):
        generator = Random(f"{settings.seed}/texts/{split}/{number}")
        for position, pair in enumerate(truth.choose_pairs(family, settings.queries_per_family, generator)):
            plain = split == "train" and settings.training_texts == "plain"
            yield _triplet(f"{split}-{number:04d}-{position}", split, truth, family, pair, generator, plain)
        meter.advance()


def _triplet(
    identity: str,
    split: str,
    truth: SplitTruth,
    family: Mapping[str, Scene],
    pair: tuple[str, str],
    generator: Random,
    plain: bool,
) -> Triplet:
    query = truth.query(family, *pair)
    before, after = (truth.scenes[name].spoken for name in pair)
    grammar = Grammar(load_style(truth.scenes[pair[0]].style), generator, held_out=split == "test", plain=plain)
    return Triplet(
        reference=query.reference,
        target=query.target,
        modification=grammar.modification(before, after),
        reverse_modification=grammar.modification(after, before),
        split=split,
        id=identity,
        targets=query.targets,
        subset=query.subset,
        hard_negatives=query.hard_negatives,
        meta={"changes": changes_between(before, after)} | ({"register": "plain"} if plain else {}),
    )
