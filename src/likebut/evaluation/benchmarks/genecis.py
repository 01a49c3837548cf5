"""GeneCIS (Vaze et al., CVPR 2023) in its official layout: four tasks, each query with a gallery of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from likebut.data.images import SUFFIXES
from likebut.data.triplets import CropBox, ImageRef, Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark, MetricPlan
from likebut.evaluation.benchmarks.layout import count_notes, read_entries, require_choice, require_root

TASKS = ("focus_attribute", "change_attribute", "focus_object", "change_object")
SPLITS = ("test",)
PROTOCOLS = ("original",)
PLAN = MetricPlan(recall_at=(1, 2, 3))

_OFFICIAL_QUERIES = {"focus_attribute": 2000, "change_attribute": 2112, "focus_object": 1960, "change_object": 1960}
_LICENCE_NOTE = "GeneCIS is licensed CC BY-NC 4.0: not for commercial use."
_DILATION = 0.7
_COCO = ("val2017", "coco/val2017", "coco2017/val2017", "COCO/val2017")
# Visual Genome 1.2 comes in two folders; published set-ups merge them.
_VISUAL_GENOME = tuple(
    f"{above}{name}"
    for above in ("", "Visual_Genome/", "VG/")
    for name in ("VG_100K_all", "VG_All", "VG_100K", "VG_100K_2")
)


def load_genecis(root: Path, split: str = "test", tasks: Sequence[str] | None = None) -> list[Benchmark]:
    """Load GeneCIS.

    The images of the attribute tasks are objects cropped from Visual Genome: each box is enlarged and padded to a
    square as in the authors' code. The candidates of a query are its target and its gallery.

    Args:
        root: The folder with ``genecis/*.json`` (or the JSON files themselves), COCO's ``val2017/`` and Visual Genome's
            images, in ``VG_100K_all/`` or ``VG_100K/`` and ``VG_100K_2/``.
        split: "test", the only one.
        tasks: Which of :data:`TASKS` to load; those whose JSON file exists if None.

    Returns:
        One benchmark for each task.

    Raises:
        InputError: A file is missing or invalid.
    """
    require_root(root)
    require_choice(split, SPLITS, "GeneCIS split")
    folder = next(
        (each for each in (root / "genecis", root) if any(_file(each, task).is_file() for task in TASKS)), None
    )
    if folder is None:
        raise InputError(
            f"GeneCIS's templates are missing: there is no {_file(root / 'genecis', TASKS[0])}.",
            "Copy the folder genecis of the authors' repository (facebookresearch/genecis) there.",
            code="missing-annotations",
        )
    chosen = [task for task in TASKS if _file(folder, task).is_file()] if tasks is None else tasks
    return [_load_task(root, folder, require_choice(task, TASKS, "GeneCIS task"), split) for task in chosen]


def crop_box(box: Sequence[float]) -> CropBox:
    """Return the part of an image that the authors' code shows of an object.

    The left and the upper edge move outwards by 0.7 of the box's width and height, and the part has 1.7 times its size:
    unless the image's edge is in the way, the right and the lower edge stay where they are.

    Args:
        box: The object's left edge, upper edge, width and height in pixels.
    """
    left, top, width, height = box
    left, top = max(0.0, left - _DILATION * width), max(0.0, top - _DILATION * height)
    edges = (left, top, left + (1 + _DILATION) * width, top + (1 + _DILATION) * height)
    return round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3])


def _file(folder: Path, task: str) -> Path:
    return folder / f"{task}.json"


def _load_task(root: Path, folder: Path, task: str, split: str) -> Benchmark:
    path = _file(folder, task)
    entries = read_entries(path, {"reference": dict, "target": dict, "gallery": list, "condition": str})
    cropped = task.endswith("attribute")
    files = _image_files(root, _VISUAL_GENOME if cropped else _COCO)
    images: dict[str, ImageRef] = {}
    queries, candidates, repeated = [], {}, 0
    for position, entry in enumerate(entries):
        shown = [entry["reference"], entry["target"], *entry["gallery"]]
        refs = [_image(image, cropped, files, root, f"{path}: entry {position}") for image in shown]
        images |= {ref.name: ref for ref in refs}
        reference, target, *others = (ref.name for ref in refs)
        names = tuple(dict.fromkeys([target, *others]))
        repeated += len(names) < len(refs) - 1
        queries.append(Query(str(position), reference, entry["condition"], target, (target,)))
        candidates[str(position)] = names
    return Benchmark(
        name="genecis",
        split=split,
        protocol="original",
        gallery=list(dict.fromkeys(name for names in candidates.values() for name in names)),
        queries=queries,
        images=images,
        plan=PLAN,
        part=task,
        notes=(
            _LICENCE_NOTE,
            *count_notes(f"GeneCIS {task}", {"queries": len(queries)}, {"queries": _OFFICIAL_QUERIES[task]}),
            *_gallery_notes(task, [len(entry["gallery"]) for entry in entries], repeated),
        ),
        candidates=candidates,
        parts=TASKS,
    )


def _image(image: Any, cropped: bool, files: Mapping[str, Path], root: Path, where: str) -> ImageRef:
    """Return an image of a template; the file may be missing."""
    key = "image_id" if cropped else "val_image_id"
    if not isinstance(image, dict) or not isinstance(image.get(key), int | str):
        raise InputError(f'{where} has an image without "{key}".', "Use the official file.", code="invalid-annotations")
    if not cropped:
        stem = f"{int(image[key]):012d}"
        return ImageRef(str(int(image[key])), files.get(stem, root / _COCO[0] / f"{stem}.jpg"))
    box = image.get("instance_bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(edge, int | float) for edge in box):
        raise InputError(
            f'{where} has an image whose "instance_bbox" is not four numbers.',
            "Use the official file.",
            code="invalid-annotations",
        )
    stem = str(image[key])
    name = f"{stem}@{','.join(f'{edge:g}' for edge in box)}"
    return ImageRef(name, files.get(stem, root / _VISUAL_GENOME[0] / f"{stem}.jpg"), crop=crop_box(box))


def _image_files(root: Path, folders: Sequence[str]) -> dict[str, Path]:
    """Return the image files in those of the folders that exist, by stem; the first folder wins."""
    files: dict[str, Path] = {}
    for folder in reversed([root / name for name in folders]):
        if folder.is_dir():
            files |= {path.stem: path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES}
    return files


def _gallery_notes(task: str, sizes: Sequence[int], repeated: int) -> tuple[str, ...]:
    notes = []
    if len(set(sizes)) > 1:
        notes.append(
            f"GeneCIS {task} has galleries of {min(sizes)} to {max(sizes)} images; the official ones are equal."
        )
    if repeated:
        notes.append(f"{repeated} galleries of GeneCIS {task} repeat an image, which is one candidate here.")
    return tuple(notes)
