import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from helpers.command import Command
from likebut.data.synthetic_triplets import SyntheticRow, read_rows, read_synthetic
from likebut.data.triplets import ImageRef, Triplet, read_triplets, write_triplets
from likebut.generator.generator import ModificationGenerator
from likebut.retriever.retriever import Retriever
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.pair_file import write_pairs


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A data folder, pairs, three human triplets, and untrained models."""
    dice = np.random.default_rng(0)
    for number in range(6):
        path = tmp_path / "data" / "images" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dice.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)
    triplets = [
        Triplet("0.png", "1.png", "one"),
        Triplet("2.png", "3.png", "two", reverse_modification="back"),
        Triplet("4.png", "5.png", "three", split="val"),
    ]
    write_triplets(tmp_path / "data" / "triplets.jsonl", triplets)
    pairs = [MinedPair(f"{number}.png", f"{number + 1}.png", 0.5) for number in range(5)]
    write_pairs(tmp_path / "pairs.parquet", pairs, {})
    ModificationGenerator.from_preset("tiny").save(tmp_path / "generator")
    Retriever.from_preset("tiny").save(tmp_path / "retriever")
    return tmp_path


GREEDY = ("--generator", "generator", "--decoding", "greedy", "--length", "short", "--shard-size", "2")
PAIRS = ("synthesize", "data", "--pairs", "pairs.parquet", "--out", "out", *GREEDY)


def rows_in(folder: Path) -> list[SyntheticRow]:
    return [row for path in sorted(folder.glob("shard-*.parquet")) for row in read_rows(path)]


def test_pairs_to_shards(likebut: Command, project: Path) -> None:
    result = likebut(*PAIRS, "--retriever", "retriever", "--round-trip-rank", 2)
    assert result.code == 0, result.err
    rows = rows_in(project / "out")
    kept = [row for row in rows if row.status == "kept"]
    assert len(rows) == 5 and all(row.rank is not None and row.reverse_rank is not None for row in rows)
    assert all(row.rank <= 2 for row in kept)
    triplets = read_synthetic(project / "out")
    assert result.out.startswith(f"out: 5 pairs in 3 shards, {len(triplets)} ")
    assert f": {len(kept)} kept" in result.out
    assert json.loads((project / "out" / "summary.json").read_text())["kept"] == len(kept)
    assert json.loads(rows[0].decoding)["max_new_tokens"] == 12


def test_default_decoding_is_the_generators(likebut: Command, project: Path) -> None:
    config = project / "generator" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"default_decoding": "consensus"}))
    result = likebut("synthesize", "data", "--pairs", "pairs.parquet", "--out", "own", "--generator", "generator")
    assert result.code == 0, result.err
    assert json.loads(rows_in(project / "own")[0].decoding)["method"] == "consensus"


def test_default_length(likebut: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModificationGenerator, "write_batch", lambda _, tokens, *rest: ["a text"] * len(tokens))
    bounds = []
    for out, method in (("published", "beam"), ("greedily", "greedy")):
        given = ("--pairs", "pairs.parquet", "--out", out, "--generator", "generator", "--decoding", method)
        assert likebut("synthesize", "data", *given).code == 0
        decoding = json.loads(rows_in(project / out)[0].decoding)
        bounds.append((decoding["min_new_tokens"], decoding["max_new_tokens"], decoding["length_penalty"]))
    assert bounds == [(1, 40, 1.0), (6, 24, 0.0)]


def test_rerun_is_idempotent_and_other_settings_are_refused(likebut: Command, project: Path) -> None:
    first = json.loads(likebut(*PAIRS, "--json").out)
    assert json.loads(likebut(*PAIRS, "--json").out) == first
    refused = likebut(*PAIRS, "--length", "long")
    refused.require_refused("writing.decoding.max_new_tokens", "12", "48")
    assert likebut(*PAIRS, "--same-text-share", 0.5).code == 2
    assert likebut(*PAIRS, "--same-text-share", 0.5, "--refilter").code == 0


def test_blocklist(likebut: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_batch(generator: object, reference_tokens: Tensor, *rest: object) -> list[str]:
        return (["with a swastika", "with an Acme logo"] * len(reference_tokens))[: len(reference_tokens)]

    monkeypatch.setattr(ModificationGenerator, "write_batch", write_batch)
    assert json.loads(likebut(*PAIRS, "--json").out)["reasons"] == {"kept": 2, "blocked": 3}
    (project / "words.txt").write_text("acme logo\n!swastika\n", encoding="utf-8")
    printed = json.loads(likebut(*PAIRS, "--blocklist", "words.txt", "--refilter", "--json").out)
    assert printed["reasons"] == {"kept": 3, "blocked": 2}
    assert {triplet.modification for triplet in read_synthetic(project / "out")} == {"with a swastika"}


def test_reverse_texts_for_a_split(likebut: Command, project: Path) -> None:
    result = likebut("synthesize", "data", "--reverse-for", "train", "--out", "out", *GREEDY, "--json")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    [row] = rows_in(project / "out")
    assert (row.reference, row.target, row.reverse_modification) == ("1.png", "0.png", None)
    written = read_triplets(project / "out" / "triplets.jsonl")
    assert len(written) + printed["triplets_left_out"] == 2
    assert written[-1].reverse_modification == "back"
    assert all(triplet.reverse_modification for triplet in written)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--pairs", "absent.parquet"], ["absent.parquet"]),
        (["--reverse-for", "train"], ["--pairs", "--reverse-for"]),
        (["--length", "endless"], ["endless"]),
        (["--decoding", "magic"], ["method", "magic"]),
        (["--beams", "0"], ["beams", "0"]),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--shard-size", "0"], ["shard_size", "0"]),
        (["--precision", "fp8"], ["precision", "fp8"]),
        (["--round-trip-rank", "0"], ["round_trip_rank", "0"]),
        (["--blocklist", "absent.txt"], ["absent.txt"]),
        (["--generator", "absent"], ["absent"]),
        (["--retriever", "generator"], ["generator"]),
        (["--out", "pairs.parquet"], ["pairs.parquet"]),
        (["--benchmark", "coco"], ["coco"]),
    ],
)
def test_wrong_input(likebut: Command, project: Path, arguments: list[str], named: list[str]) -> None:
    likebut(*PAIRS, *arguments).require_refused(*named)
    assert not (project / "out").exists()


def test_missing_source_and_unknown_split(likebut: Command, project: Path) -> None:
    likebut("synthesize", "data", "--out", "out").require_refused(code="pairs-or-reverse")
    result = likebut("synthesize", "data", "--reverse-for", "test", "--out", "out", *GREEDY)
    result.require_refused("test", "train", "val")


def test_pairs_of_a_benchmark_use_the_images_of_their_split(
    likebut: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def images_of(folder: Path, split: str | None, benchmark: str | None) -> list[ImageRef]:
        asked.append((split, benchmark))
        return [ImageRef(f"{number}.png", project / "data" / "images" / f"{number}.png") for number in range(6)]

    monkeypatch.setattr("likebut.synthesis.jobs.source_images", images_of)
    write_pairs(project / "pairs.parquet", [MinedPair("0.png", "1.png", 0.5)], {"split": "val"})
    assert likebut(*PAIRS, "--benchmark", "cirr").code == 0
    assert asked == [("val", "cirr")]
