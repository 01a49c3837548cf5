import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.command import Command
from likebut.retriever.retriever import Retriever
from likebut.synthesis.pair_file import read_pairs

ANY = ("--preset", "tiny", "--min-similarity", "-1", "--max-similarity", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder: five images in the pool, one of them damaged, and one image that is not in it."""
    dice = np.random.default_rng(0)
    for number in range(6):
        path = tmp_path / "data" / "images" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dice.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)
    path = tmp_path / "data" / "images" / "4.png"
    path.write_bytes(path.read_bytes()[:200])
    rows = [{"image": f"{number}.png", "split": "pool" if number < 5 else "test"} for number in range(6)]
    (tmp_path / "data" / "gallery.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "data"


def test_pairs_of_a_split(likebut: Command, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.parquet"
    result = likebut("pairs", folder, "--out", out, "--split", "pool", "--neighbours", 3, *ANY)
    assert result.code == 0, result.err
    pairs = read_pairs(out)
    assert {frozenset((pair.reference, pair.target)) for pair in pairs} == {
        frozenset((f"{first}.png", f"{second}.png")) for first in range(4) for second in range(first)
    }
    assert result.out.startswith(f"{out}: 6 pairs among 4 ")
    assert "1 image skipped:\n  4.png: " in result.out
    described = json.loads(out.with_suffix(".json").read_text())
    assert (described["pairs"], described["split"], described["skipped"][0]["image"]) == (6, "pool", "4.png")


def test_a_plain_folder_with_a_limit_as_json(likebut: Command, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.parquet"
    result = likebut("pairs", folder / "images", "--out", out, "--limit", 2, "--json", *ANY)
    printed = json.loads(result.out)
    assert (printed["pairs"], printed["images"], printed["settings"]["limit"]) == (2, 5, 2)
    assert printed["file"] == str(out) and len(read_pairs(out)) == 2


def test_confusable_pairs(likebut: Command, folder: Path, tmp_path: Path) -> None:
    Retriever.from_preset("tiny").save(tmp_path / "retriever")
    out = tmp_path / "pairs.parquet"
    result = likebut("pairs", folder, "--out", out, "--confusable", tmp_path / "retriever", "--json", *ANY)
    assert json.loads(result.out)["vectors"]["retriever"]["model"] == "ptha/tiny"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--neighbours", "0"], ["neighbours", "0"]),
        (["--limit", "0"], ["limit", "0"]),
        (["--min-similarity", "0.9", "--max-similarity", "0.1"], ["0.9", "0.1"]),
        (["--split", "pond"], ["pond"]),
        (["--out", "pairs.csv"], ["pairs.csv", ".parquet"]),
        (["--preset", "huge"], ["huge"]),
        (["--benchmark", "coco"], ["coco"]),
        (["--max-similarity", "-1"], ["5"]),
    ],
)
def test_wrong_input(likebut: Command, folder: Path, tmp_path: Path, arguments: list[str], named: list[str]) -> None:
    likebut("pairs", folder, "--out", tmp_path / "pairs.parquet", *ANY, *arguments).require_refused(*named)
    assert not (tmp_path / "pairs.parquet").exists()
