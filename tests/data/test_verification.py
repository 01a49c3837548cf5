import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.errors import raises
from likebut.data.verification import Verification, verify_folder
from likebut.errors import InputError


def png_bytes(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for seed, name in enumerate("abcd"):
        (tmp_path / "images" / f"{name}.png").write_bytes(png_bytes(seed))
    return tmp_path


def row(**changes: Any) -> dict[str, Any]:
    base = {"split": "test", "reference": "a.png", "target": "b.png", "modification": "in red"}
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def write(folder: Path, name: str, *rows: dict[str, Any] | str) -> None:
    lines = (item if isinstance(item, str) else json.dumps(item) for item in rows)
    (folder / name).write_text("".join(line + "\n" for line in lines))


def listed(result: Verification) -> list[tuple[str, str, int | None, str]]:
    return [(finding.severity, finding.where, finding.line, finding.problem) for finding in result.findings]


def test_a_valid_folder_has_no_findings(folder: Path) -> None:
    write(folder, "triplets.jsonl", row(id="1", subset=["b.png", "c.png"], hard_negatives=["c.png"]))
    write(folder, "gallery.jsonl", *({"image": f"{name}.png", "split": "test"} for name in "abc"))
    assert verify_folder(folder) == Verification(images=4, triplets=1, findings=())


@pytest.mark.parametrize(
    ("changes", "severity", "problem"),
    [
        ({"reference": None}, "fault", 'no "reference"'),
        ({"modification": ""}, "fault", "empty modification"),
        ({"modification": 7}, "fault", '"modification" is 7'),
        ({"targets": "b.png"}, "fault", '"targets"'),
        ({"caption": "x"}, "fault", 'unknown field "caption"'),
        ({"target": "z.png"}, "fault", "no image z.png"),
        ({"hard_negatives": ["z.png"]}, "fault", "no image z.png"),
        ({"targets": ["c.png"]}, "fault", 'target b.png is not among "targets"'),
        ({"hard_negatives": ["b.png"]}, "fault", "both a target and a hard negative"),
        ({"hard_negatives": ["a.png"]}, "fault", 'reference is among "hard_negatives"'),
        ({"subset": ["a.png", "b.png"]}, "fault", 'reference is in "subset"'),
        ({"subset": ["c.png"]}, "fault", 'target b.png is not in "subset"'),
        ({"subset": ["b.png", "c.png", "c.png"]}, "fault", "c.png is listed 2 times"),
        ({"reverse_modification": " "}, "fault", "reverse modification text is empty"),
        ({"targets": ["a.png", "b.png"]}, "warning", "reference is among the targets"),
    ],
)
def test_each_fault_is_found_on_its_line(folder: Path, changes: dict[str, Any], severity: str, problem: str) -> None:
    write(
        folder,
        "triplets.jsonl",
        row(),
        "",
        row(modification="other", **changes) if "modification" not in changes else row(**changes),
    )
    found = [item for item in listed(verify_folder(folder)) if problem in item[3]]
    assert [item[:3] for item in found] == [(severity, "triplets.jsonl", 3)]


def test_every_fault_of_a_line_and_of_the_file_is_listed(folder: Path) -> None:
    write(
        folder,
        "triplets.jsonl",
        row(split=None, target=3, caption="x"),
        "{not json",
        "[1, 2]",
        row(id="7"),
        row(id="7", modification="in green"),
        row(id="8", target="c.png"),
        row(id="9"),
    )
    found = [(item[0], item[2]) for item in listed(verify_folder(folder))]
    assert found == [*(("fault", line) for line in (1, 1, 1, 2, 3, 5)), ("warning", 6), ("warning", 7)]
    warnings = [item[3] for item in listed(verify_folder(folder)) if item[0] == "warning"]
    assert all("4" in warning for warning in warnings)
    assert "other targets" in warnings[0] and "the same targets" in warnings[1]


def test_targets_must_be_in_their_splits_gallery(folder: Path) -> None:
    write(folder, "triplets.jsonl", row(hard_negatives=["d.png"]), row(split="train", modification="in green"))
    write(
        folder, "gallery.jsonl", {"image": "c.png", "split": "test"}, {"image": "c.png", "split": "test"}, {"image": 1}
    )
    assert listed(verify_folder(folder)) == [
        ("fault", "gallery.jsonl", 3, '"image" is missing or not a string.'),
        ("fault", "gallery.jsonl", 3, '"split" is missing or not a string.'),
        ("fault", "triplets.jsonl", 1, 'The target b.png is not in the gallery of the split "test".'),
        ("warning", "gallery.jsonl", 2, 'c.png is listed twice in the split "test".'),
        (
            "warning",
            "triplets.jsonl",
            1,
            'The subset or hard-negative image d.png is not in the gallery of the split "test".',
        ),
    ]


def test_captions_are_checked(folder: Path) -> None:
    write(folder, "triplets.jsonl", row())
    write(folder, "captions.jsonl", {"image": "z.png", "split": "train", "captions": [""]})
    assert [item[2:] for item in listed(verify_folder(folder))] == [
        (1, "There is no image z.png below images/."),
        (1, '"captions" is not a list of strings.'),
    ]


def test_verification_accepts_exactly_what_training_reads(folder: Path) -> None:
    """A mark at a file's beginning is read everywhere, captions without a text nowhere, absurd numbers neither."""
    write(folder, "triplets.jsonl", row())
    path = folder / "triplets.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    path.write_bytes(path.read_bytes() + b'{"x": ' + b"1" * 5000 + b"}\n")
    write(folder, "captions.jsonl", {"image": "a.png", "split": "train", "captions": []})
    found = [(each.where, each.line, each.problem) for each in verify_folder(folder).findings]
    assert [each[:2] for each in found if '"captions"' in each[2]] == [("captions.jsonl", 1)]
    assert [each[:2] for each in found if "not valid JSON" in each[2]] == [("triplets.jsonl", 2)]


def test_a_folder_of_images_alone_is_valid(folder: Path) -> None:
    result = verify_folder(folder)
    assert (result.count("fault"), result.count("warning")) == (0, 1)


def test_no_images_and_no_folder(tmp_path: Path) -> None:
    assert verify_folder(tmp_path).count("fault") == 1
    with raises(InputError, "no-such-folder"):
        verify_folder(tmp_path / "missing")


def bomb() -> bytes:
    """A PNG that says it has 20,000 × 20,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_unusual_images(folder: Path) -> None:
    images = folder / "images"
    photo = Image.fromarray(np.random.default_rng(9).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    photo.save(images / "whole.jpg")
    (images / "truncated.jpg").write_bytes((images / "whole.jpg").read_bytes()[:900])
    (images / "whole.jpg").unlink()
    (images / "empty.png").write_bytes(b"")
    (images / "text.png").write_text("this is no picture")
    (images / "bomb.png").write_bytes(bomb())
    photo.quantize(16).save(images / "palette.png")
    photo.convert("CMYK").save(images / "cmyk.jpg")
    photo.save(images / "moving.gif", save_all=True, append_images=[photo.rotate(90)])
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(images / "rotated.jpg", exif=exif)
    (images / "twin.png").write_bytes((images / "a.png").read_bytes())
    write(folder, "triplets.jsonl", row())
    found = listed(verify_folder(folder))
    assert [(item[0], item[1]) for item in found] == [
        ("fault", "images/bomb.png"),
        ("fault", "images/empty.png"),
        ("fault", "images/text.png"),
        ("fault", "images/truncated.jpg"),
        ("notice", "images/a.png"),
    ]
    assert "pixels" in found[0][3]
    assert found[4][3] == "It has the same content as twin.png."
