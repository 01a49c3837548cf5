"""Both jobs on real files, with the random parts of the preset tiny."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from likebut.data.images import list_images
from likebut.data.synthetic_triplets import read_rows, read_synthetic
from likebut.data.triplets import ImageRef, Triplet, read_triplets
from likebut.errors import InputError, ResumeError
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.models.loading import load_vision
from likebut.models.preset import load_preset
from likebut.retriever.retriever import Retriever
from likebut.synthesis.filters import Blocklist, FilterSettings
from likebut.synthesis.jobs import Job, write_about_pairs, write_reverse_texts
from likebut.synthesis.mining import MinedPair, MinedPairs, PairSettings, mine_images
from likebut.synthesis.writing import WritingSettings

WIDE = PairSettings(neighbours=2, min_similarity=-1.0, max_similarity=1.0, neighbourhood=3)


@pytest.fixture
def images(tmp_path: Path) -> list[ImageRef]:
    folder = tmp_path / "images"
    folder.mkdir()
    dice = np.random.default_rng(0)
    for number in range(6):
        pixels = dice.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    return list_images(folder)


def job(tmp_path: Path, retriever: bool = False, **changes: object) -> Job:
    writing = WritingSettings(decoding=Decoding(method="greedy", max_new_tokens=6), shard_size=4, log_probability=True)
    made = Job(
        generator=ModificationGenerator.from_preset("tiny", device="cpu"),
        retriever=Retriever.from_preset("tiny", device="cpu") if retriever else None,
        writing=writing,
        filters=FilterSettings(round_trip_rank=1),
        blocklist=Blocklist([]),
        feature_folder=tmp_path / "features",
    )
    return replace(made, **changes)


def mined(tmp_path: Path, images: list[ImageRef], **options: object) -> MinedPairs:
    vision = load_vision(load_preset("tiny"))
    return mine_images(images, vision, WIDE, feature_folder=tmp_path / "features", **options)


def test_mining_skips_copies_and_unreadable_images(tmp_path: Path, images: list[ImageRef]) -> None:
    found = mined(tmp_path, images)
    assert found.images == 6
    assert [image.name for image in found.skipped] == ["empty.png", "text.png"]
    assert [image.name for image in found.repeated] == ["copy.png"] and "0.png" in found.repeated[0].reason
    described = found.description()
    assert (described["pairs"], described["settings"]["neighbours"]) == (len(found.pairs), 2)
    assert described["skipped"][0] == {"image": "empty.png", "reason": found.skipped[0].reason}
    similarities = sorted(pair.similarity for pair in found.pairs)
    assert described["median_similarity"] == similarities[len(similarities) // 2]
    assert all(len(pair.reference_neighbours) == 3 for pair in found.pairs)


def test_confusable_pairs_are_mined_by_the_retriever(tmp_path: Path, images: list[ImageRef]) -> None:
    retriever = Retriever.from_preset("tiny", device="cpu")
    confusable = mined(tmp_path, images, confusable=retriever)
    by_name = {image.name: image for image in images}
    for pair in confusable.pairs:
        embedded = retriever.embed_images([Image.open(by_name[name].path) for name in (pair.reference, pair.target)])
        first, second = (vector / np.linalg.norm(vector) for vector in embedded.mean(axis=1))
        assert pair.similarity == pytest.approx(float(first @ second), abs=2e-3)
    assert [pair.similarity for pair in confusable.pairs] != [pair.similarity for pair in mined(tmp_path, images).pairs]
    assert confusable.description()["vectors"]["retriever"]["model"] == "ptha/tiny"


def test_texts_for_pairs_with_a_round_trip(tmp_path: Path, images: list[ImageRef]) -> None:
    pairs, work = mined(tmp_path, images).pairs, job(tmp_path, retriever=True)
    summary = write_about_pairs(tmp_path / "out", pairs, {image.name: image for image in images}, work)
    assert summary.pairs == len(pairs) and summary.shards == -(-len(pairs) // 4)
    rows = [row for number in range(summary.shards) for row in read_rows(tmp_path / f"out/shard-{number:05d}.parquet")]
    generator = ModificationGenerator.from_preset("tiny", device="cpu")
    first = rows[0]
    tokens = generator.vision_tokens(
        [Image.open(tmp_path / "images" / name) for name in (first.reference, first.target)]
    )
    # The cache holds tokens as float16, which may turn a random model's greedy choice, but not its first words.
    written = generator.write_batch(tokens[:1].half(), tokens[1:].half(), work.writing.decoding)
    assert [first.modification] == written
    assert first.log_probability == pytest.approx(
        generator.log_probabilities(tokens[:1].half(), tokens[1:].half(), written)[0], abs=1e-3
    )
    assert {row.neighbours for row in rows} <= {2, 3} and all(1 <= row.rank <= row.neighbours + 1 for row in rows)
    assert {row.status for row in rows} <= {"kept", "empty", "repeated", "round trip"}
    assert all(row.rank == 1 for row in rows if row.status == "kept")
    assert len(read_synthetic(tmp_path / "out")) == summary.triplets


def test_pairs_without_neighbours_get_them_for_the_round_trip(tmp_path: Path, images: list[ImageRef]) -> None:
    known = {image.name: image for image in images}
    pairs = [MinedPair("0.png", "1.png"), MinedPair("2.png", "3.png"), MinedPair("4.png", "empty.png")]
    summary = write_about_pairs(tmp_path / "out", pairs, known, job(tmp_path, retriever=True))
    assert (summary.pairs, [image.name for image in summary.skipped]) == (2, ["empty.png"])
    [first, second] = read_rows(tmp_path / "out/shard-00000.parquet")
    assert first.neighbours == second.reverse_neighbours == 2


def test_a_run_belongs_to_its_generator_and_retriever(tmp_path: Path, images: list[ImageRef]) -> None:
    known = {image.name: image for image in images}
    pairs = [MinedPair("0.png", "1.png")]
    write_about_pairs(tmp_path / "out", pairs, known, job(tmp_path))
    other = job(tmp_path)
    with torch.no_grad():
        other.generator.model.projection.bias.add_(1.0)
    with pytest.raises(ResumeError, match="generator.weights_sha256"):
        write_about_pairs(tmp_path / "out", pairs, known, other)
    with pytest.raises(ResumeError, match="retriever"):
        write_about_pairs(tmp_path / "out", pairs, known, job(tmp_path, retriever=True))


def test_unusable_pairs_are_input_errors(tmp_path: Path, images: list[ImageRef]) -> None:
    known = {image.name: image for image in images}
    with pytest.raises(InputError) as error:
        write_about_pairs(tmp_path / "out", [MinedPair("y.png", "x.png")], known, job(tmp_path))
    assert error.value.code == "missing-images" and all(named in error.value.problem for named in ("2", "x.png"))
    with pytest.raises(InputError) as error:
        write_about_pairs(tmp_path / "out", [MinedPair("0.png", "empty.png")], known, job(tmp_path))
    assert error.value.code == "no-usable-pairs" and "empty.png" in error.value.problem


def test_reverse_texts_for_human_triplets(tmp_path: Path, images: list[ImageRef]) -> None:
    known = {image.name: image for image in images}
    triplets = [
        Triplet("0.png", "1.png", "one"),
        Triplet("2.png", "3.png", "two", reverse_modification="back"),
        Triplet("4.png", "empty.png", "three"),
    ]
    work = job(tmp_path)
    summary, left_out = write_reverse_texts(tmp_path / "out", triplets, known, work)
    assert (summary.pairs, summary.reverse_kept) == (1, 0)
    [row] = read_rows(tmp_path / "out/shard-00000.parquet")
    assert (row.reference, row.target, row.reverse_modification) == ("1.png", "0.png", None)
    kept = (
        [triplets[1]]
        if row.status != "kept"
        else [replace(triplets[0], reverse_modification=row.modification), triplets[1]]
    )
    assert read_triplets(tmp_path / "out" / "triplets.jsonl") == kept
    assert triplets[2] in left_out and len(left_out) + len(kept) == 3
    with pytest.raises(InputError) as error:
        write_reverse_texts(tmp_path / "other", triplets[1:2], known, work)
    assert error.value.code == "nothing-to-write"
