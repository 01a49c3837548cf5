"""Small i-CIR, PinPoint and GeneCIS in their official layouts, with rendered images."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from helpers.official import COLOURS, render, write

ICIR_TEXTS = ("in blue", "in red")


def write_icir(
    root: Path, instances: int = 3, images: bool = True, annotations: str = "", prefix: str = "", negatives: int = 6
) -> Path:
    """Write i-CIR: for each instance two query images and two texts, two positives a text, and ``negatives`` others.

    Args:
        annotations: The folder of the CSV files below ``root``: "" in the archive, "annotations" on the hub.
        prefix: What the paths in the CSV files start with.
    """
    query_rows, database_rows, number = [], [], 0
    for instance in (f"thing_{index}" for index in range(instances)):
        for index in range(2):
            query_rows += [
                (f"query/{instance}/{instance}_image_query{index}.jpg", text, instance) for text in ICIR_TEXTS
            ]
        for text in ICIR_TEXTS:
            folder = f"database/{instance}/{text.replace(' ', '_')}"
            database_rows += [(f"{folder}/pos{index}.jpg", text, instance) for index in range(2)]
        database_rows += [(f"database/{instance}/hn/hn{index}.jpg", "", instance) for index in range(negatives)]
    for name, rows in (("query_files.csv", query_rows), ("database_files.csv", database_rows)):
        path = root / annotations / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([(prefix + row[0], *row[1:]) for row in rows])
    if images:
        for path_of_image in dict.fromkeys(row[0] for row in [*query_rows, *database_rows]):
            render(root / path_of_image, number)
            number += 1
    return root


def signature(number: int) -> str:
    """Return a signature as Pinterest writes them: 32 hexadecimal digits."""
    return f"{number * 7919 % 251:02x}{number:030x}"


def write_pinpoint(
    root: Path, gallery: int = 60, images: bool = True, nested: bool = False, file: str = "pinpoint_licensed.parquet"
) -> Path:
    """Write PinPoint: three intents of two paraphrases each, the last intent with two reference images."""
    signatures = [signature(number) for number in range(gallery)]
    rows: list[dict[str, Any]] = []
    for intent in range(3):
        for paraphrase in range(2):
            first = 10 + 12 * intent
            rows.append(
                {
                    "query_id": f"query_{len(rows):05d}" if intent else str(len(rows)),
                    "query_image_signature": signatures[intent],
                    "query_image_signature2": signatures[5] if intent == 2 else None,
                    "instruction": f"{('make it', 'turn it')[paraphrase]} {COLOURS[intent]}",
                    "positive_candidates": signatures[first : first + 3],
                    "negative_candidates": signatures[first + 3 : first + 8],
                    "query_category": "colour",
                }
            )
    root.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), root / file)
    (root / "index_signatures.txt").write_text("\n".join(signatures) + "\n", encoding="utf-8")
    if images:
        for number, name in enumerate(signatures):
            folder = f"{name[:2]}/{name[2:4]}/{name[4:6]}/" if nested else ""
            render(root / "images" / f"{folder}{name}.jpg", number)
    return root


def write_genecis(root: Path, queries: int = 4, others: int = 5, images: bool = True, tasks: Any = None) -> Path:
    """Write GeneCIS: for each task ``queries`` templates with ``others`` gallery images besides the target."""
    for task in tasks or ("focus_attribute", "change_attribute", "focus_object", "change_object"):
        entries = []
        for number in range(queries):
            ids = [1 + 3 * number + step for step in range(others + 2)]
            shown = [_vg_image(image) if task.endswith("attribute") else {"val_image_id": image} for image in ids]
            entries.append(
                {
                    "reference": shown[0],
                    "target": shown[1],
                    "gallery": shown[2:],
                    "condition": COLOURS[number % len(COLOURS)],
                }
            )
        write(root / "genecis" / f"{task}.json", entries)
    if images:
        for image in range(1, 3 * queries + others + 3):
            render(root / "val2017" / f"{image:012d}.jpg", image)
            render(root / ("VG_100K", "VG_100K_2")[image % 2] / f"{image}.jpg", image)
    return root


def _vg_image(image: int) -> dict[str, Any]:
    return {"image_id": image, "instance_bbox": [8 + image % 3, 9, 14, 10 + image % 4], "object_name": "shape"}
