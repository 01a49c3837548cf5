"""Small CIRR, FashionIQ and CIRCO in their official layouts, with rendered images."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

COLOURS = ("red", "orange", "gold", "green", "teal", "blue", "purple", "pink", "brown", "grey", "black", "white")
SHAPES = ("circle", "square", "triangle")
SIDE = 32


def render(path: Path, number: int) -> None:
    """Draw a shape on a background; images with different numbers below 396 differ."""
    others = len(COLOURS) - 1
    shape, rest = SHAPES[number % 3], number // 3
    background = rest % len(COLOURS)
    foreground = (background + 1 + rest // len(COLOURS) % others) % len(COLOURS)
    image = Image.new("RGB", (SIDE, SIDE), COLOURS[background])
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse((6, 6, 26, 26), fill=COLOURS[foreground])
    elif shape == "square":
        draw.rectangle((6, 6, 26, 26), fill=COLOURS[foreground])
    else:
        draw.polygon([(16, 4), (28, 28), (4, 28)], fill=COLOURS[foreground])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_cirr(
    root: Path,
    layout: str = "repository",
    sets: int = 4,
    splits: Iterable[str] = ("train", "val", "test1"),
    suffix: str = ".png",
) -> Path:
    """Write CIRR with ``sets`` sets of six images a split, two queries each, and two more gallery images.

    One further image file lies in each folder that no split file lists, as in the originals.

    Args:
        layout: "repository" (``captions/`` beside ``img_raw/``) or "clip4cir" (``cirr/captions/`` beside ``dev/``).
        suffix: Of the image files; the split files say ``.png`` whatever it is.
    """
    annotations = root if layout == "repository" else root / "cirr"
    base = root / "img_raw" if layout == "repository" else root
    for split_number, split in enumerate(splits):
        stem = {"val": "dev"}.get(split, split)
        names = [f"{stem}-{group}-{member // 2}-img{member % 2}" for group in range(sets) for member in range(6)]
        names += [f"{stem}-900-0-img0", f"{stem}-900-0-img1"]
        folder = "train/{group}" if split == "train" else stem
        places = {name: f"./{folder.format(group=name.split('-')[1])}/{name}.png" for name in names}
        write(annotations / "image_splits" / f"split.rc2.{split}.json", places)
        write(annotations / "captions" / f"cap.rc2.{split}.json", cirr_entries(names[: 6 * sets], split))
        for number, place in enumerate([*places.values(), f"./{folder.format(group=0)}/unlisted.png"]):
            render((base / place).with_suffix(suffix), 40 * split_number + number)
    return root


def cirr_entries(names: Sequence[str], split: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for group in range(len(names) // 6):
        members = list(names[6 * group : 6 * group + 6])
        for reference, target in ((0, 1), (2, 4)):
            entry: dict[str, Any] = {
                "pairid": 100 + len(entries),
                "reference": members[reference],
                "caption": f"make it {COLOURS[group % len(COLOURS)]}",
                "img_set": {"id": group, "members": members, "reference_rank": reference},
            }
            if split != "test1":
                entry |= {"target_hard": members[target], "target_soft": {members[target]: 1.0}}
                entry["img_set"]["target_rank"] = target
            entries.append(entry)
    return entries


def write_fashioniq(
    root: Path, gallery: int = 14, queries: int = 5, splits: Iterable[str] = ("train", "val", "test")
) -> Path:
    """Write FashionIQ's three categories; every other image file is a .png, the rest are .jpg."""
    for category_number, category in enumerate(("dress", "shirt", "toptee")):
        for split_number, split in enumerate(splits):
            names = [f"B{category_number}{split_number}{number:05d}" for number in range(gallery)]
            entries = [
                {"candidate": names[number], "target": names[number + 1], "captions": fashioniq_captions(number)}
                for number in range(queries)
            ]
            if split == "test":
                for entry in entries:
                    del entry["target"]
            write(root / "captions" / f"cap.{category}.{split}.json", entries)
            write(root / "image_splits" / f"split.{category}.{split}.json", names)
            for number, name in enumerate(names):
                suffix = ".png" if number % 2 else ".jpg"
                render(root / "images" / f"{name}{suffix}", 100 * category_number + 15 * split_number + number)
    return root


def fashioniq_captions(number: int) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    return [f" is {colour} with a hand-made band.", f"Has a {SHAPES[number % 3]} on it?, "]


def write_circo(root: Path, gallery: int = 60, listing: bool = True, images: bool = True) -> Path:
    """Write CIRCO over a ``gallery`` of COCO-like ids, with 4 queries in val and 3 in test."""
    ids = [1000 + 7 * number for number in range(gallery)]
    entries = []
    for number in range(7):
        targets = ids[10 + 5 * number : 11 + 6 * number]
        entries.append(
            {
                "reference_img_id": ids[number],
                "target_img_id": targets[0],
                "relative_caption": f"shows something {COLOURS[number]} instead",
                "shared_concept": "a shape",
                "gt_img_ids": targets,
                "id": number,
                "semantic_aspects": ["addition", "viewpoint"][: 1 + number % 2],
            }
        )
    write(root / "annotations" / "val.json", entries[:4])
    hidden = ("target_img_id", "gt_img_ids", "semantic_aspects")
    test = [{key: value for key, value in entry.items() if key not in hidden} for entry in entries[4:]]
    write(root / "annotations" / "test.json", [entry | {"id": number} for number, entry in enumerate(test)])
    coco = root / "COCO2017_unlabeled"
    files = {image: f"{image:012d}.jpg" for image in ids}
    if listing:
        listed = [{"id": image, "file_name": name, "height": SIDE, "width": SIDE} for image, name in files.items()]
        write(coco / "annotations" / "image_info_unlabeled2017.json", {"images": listed})
    if images:
        for number, name in enumerate(files.values()):
            render(coco / "unlabeled2017" / name, number)
    return root


def shuffled(names: Iterable[Any], seed: int, leave_out: Any = None, count: int | None = None) -> list[Any]:
    """Return ``count`` of the names, or all, in a random order."""
    kept = [name for name in names if name != leave_out]
    return random.Random(seed).sample(kept, min(count or len(kept), len(kept)))
