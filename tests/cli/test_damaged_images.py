"""Every command that reads images takes a folder with damaged ones: it says which and why, and uses the rest."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from helpers.awkward_images import (
    COPY,
    DAMAGED,
    EVERYTHING,
    GOOD,
    ORIGINAL,
    TURNED_SIZE,
    USABLE,
    truncate,
    write_awkward_images,
    write_bomb,
)
from helpers.command import Command
from helpers.official import write_circo, write_cirr
from likebut.data.synthetic_triplets import read_rows
from likebut.data.triplets import Triplet, read_triplets, write_triplets
from likebut.files import write_jsonl
from likebut.generator.generator import ModificationGenerator
from likebut.retriever.retriever import Retriever
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.pair_file import read_pairs, write_pairs

ANY_PAIR = ("--preset", "tiny", "--min-similarity", "-1", "--max-similarity", "1", "--neighbours", "20")
DIFFERENT = len(USABLE) - 1  # one of them is another's copy


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models and a data folder whose triplets name every image, the damaged ones included."""
    root = tmp_path_factory.mktemp("awkward")
    write_awkward_images(root / "data" / "images")
    write_triplets(root / "data" / "triplets.jsonl", [*triplets("train"), *triplets("test")])
    captions = [{"split": "train", "image": name, "captions": [f"this is {name}"]} for name in EVERYTHING]
    write_jsonl(root / "data" / "captions.jsonl", captions)
    Retriever.from_preset("tiny").save(root / "retriever")
    ModificationGenerator.from_preset("tiny").save(root / "generator")
    return root


@pytest.fixture
def likebut(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(place)
    return Command(monkeypatch, capsys)


def triplets(split: str) -> list[Triplet]:
    """Return triplets in a ring over all images: each is once the reference and once the target."""
    ring = zip(EVERYTHING, [*EVERYTHING[1:], EVERYTHING[0]], strict=True)
    return [
        Triplet(
            reference=reference,
            target=target,
            modification=f"like {target}",
            split=split,
            reverse_modification=f"like {reference}" if split == "train" else None,
            subset=tuple(dict.fromkeys(name for name in (target, "zero.png", *GOOD[:3]) if name != reference)),
            hard_negatives=tuple(name for name in ("bomb.png", *GOOD[3:]) if name not in (reference, target)),
        )
        for reference, target in ring
    ]


USABLE_TRIPLETS = sum(not {each.reference, each.target} & DAMAGED.keys() for each in triplets("train"))


def listed(images: Iterable[dict[str, str]], key: str = "image") -> dict[str, str]:
    """Return name → reason as a command's JSON lists them; paths by their last part."""
    return {Path(each[key]).name: each["reason"] for each in images}


def require_reasons(found: dict[str, str], names: Iterable[str] = DAMAGED) -> None:
    assert sorted(found) == sorted(names)
    for name, reason in found.items():
        assert DAMAGED[name] in reason


def require_lines(text: str) -> None:
    assert "4 images were set aside:" in text
    for name, reason in DAMAGED.items():
        [line] = [line for line in text.splitlines() if f"{name}: " in line]
        assert reason in line


def as_json(result: Any) -> Any:
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_data_verify(likebut: Command) -> None:
    text = likebut("data", "verify", "data")
    assert text.code == 2
    for name, reason in DAMAGED.items():
        [line] = [line for line in text.out.splitlines() if line.startswith(f"fault: images/{name}: ")]
        assert reason in line
    assert f"notice: images/{ORIGINAL}: It has the same content as {COPY}." in text.out
    found = json.loads(likebut("data", "verify", "data", "--json").out)
    assert (found["images"], found["triplets"], found["faults"]) == (len(EVERYTHING), 2 * len(EVERYTHING), 4)
    faults = [each for each in found["findings"] if each["severity"] == "fault"]
    require_reasons({Path(each["where"]).name: each["problem"] for each in faults})


@pytest.mark.parametrize("folder", ["data", "data/images"])
def test_pairs(likebut: Command, tmp_path: Path, folder: str) -> None:
    out = tmp_path / "pairs.parquet"
    said = as_json(likebut("pairs", folder, "--out", out, *ANY_PAIR, "--json"))
    require_reasons(listed(said["skipped"]))
    assert listed(said["repeated"]) == {COPY: f"Its content is that of {ORIGINAL}."}
    paired = {frozenset((pair.reference, pair.target)) for pair in read_pairs(out)}
    assert said["images"] == DIFFERENT and len(paired) == DIFFERENT * (DIFFERENT - 1) // 2
    text = likebut("pairs", folder, "--out", out, *ANY_PAIR).out
    assert "5 images were set aside:" in text and f"{COPY}: Its content is that of {ORIGINAL}." in text
    assert all(f"  {name}: " in text for name in DAMAGED)


WRITING = ("--generator", "generator", "--decoding", "greedy", "--length", "short")


def test_synthesize_about_pairs(likebut: Command, tmp_path: Path) -> None:
    ring = [MinedPair(each.reference, each.target) for each in triplets("train")]
    write_pairs(tmp_path / "pairs.parquet", ring, {})
    out = tmp_path / "shards"
    command = ("synthesize", "data", "--pairs", tmp_path / "pairs.parquet", "--out", out, *WRITING)
    command = (*command, "--retriever", "retriever")
    said = as_json(likebut(*command, "--json"))
    require_reasons(listed(said["skipped"]))
    assert said["pairs"] == USABLE_TRIPLETS
    rows = [row for path in out.glob("shard-*.parquet") for row in read_rows(path)]
    assert {(row.reference, row.target) for row in rows} == {
        (pair.reference, pair.target) for pair in ring if not {pair.reference, pair.target} & DAMAGED.keys()
    }
    require_lines(likebut(*command).out)


def test_synthesize_reverse_texts(likebut: Command, tmp_path: Path) -> None:
    command = ("synthesize", "data", "--reverse-for", "test", "--out", tmp_path / "reverse", *WRITING)
    said = as_json(likebut(*command, "--json"))
    require_reasons(listed(said["skipped"]))
    assert said["pairs"] == USABLE_TRIPLETS
    written = read_triplets(tmp_path / "reverse" / "triplets.jsonl")
    assert len(written) + said["triplets_left_out"] == len(EVERYTHING)
    require_lines(likebut(*command).out)


@pytest.mark.parametrize("job", ["retriever", "generator"])
def test_train(likebut: Command, tmp_path: Path, job: str) -> None:
    captions = ("--set", "captions.steps=1", "--set", "captions.batch_size=4") if job == "generator" else ()
    command = ("train", job, "--recipe", f"tiny-{job}", "--data", "data", "--set", "training.steps=3", *captions)
    said = as_json(likebut(*command, "--out", tmp_path / "out", "--json"))
    require_reasons(listed(said["skipped"]))
    assert (said["steps"], said["triplets"]) == (3, USABLE_TRIPLETS)
    text = likebut(*command, "--out", tmp_path / "out")
    assert text.code == 0
    require_lines(text.out)


@pytest.mark.parametrize("cache", ["--cache", "--no-cache"])
def test_evaluate(likebut: Command, cache: str) -> None:
    command = ("evaluate", "--data", "data", "--model", "retriever", cache)
    said = as_json(likebut(*command, "--json"))
    require_reasons(listed(said["skipped"]))
    assert (said["queries"], said["gallery"]) == (len(EVERYTHING), len(EVERYTHING))
    # A query whose reference or target cannot be used stays in the figures, as a miss.
    assert said["Recall@50"] == pytest.approx(100 * USABLE_TRIPLETS / len(EVERYTHING))
    text = likebut(*command).out
    require_lines(text)
    assert "the 4 queries that refer to one count as misses" in text


def test_index_and_search(likebut: Command, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    said = as_json(likebut("index", "data/images", "--gallery", gallery, "--model", "retriever", "--json"))
    require_reasons(listed(said["skipped"], "path"))
    assert (said["added"], said["copies"], said["images"]) == (DIFFERENT, 1, DIFFERENT)
    again = likebut("index", "data/images", "--gallery", gallery)
    require_lines(again.out)
    assert "1 copies of others" not in again.out and "12 unchanged" in again.out
    search = ("search", "--gallery", gallery, "--text", "in blue", "-k", "50", "--json")
    hits = as_json(likebut(*search, "--image", "data/images/turned.jpg"))["hits"]
    assert len(hits) == DIFFERENT - 1  # the reference is not its own result
    sizes = {Path(hit["path"]).name: (hit["metadata"]["width"], hit["metadata"]["height"]) for hit in hits}
    assert not sizes.keys() & DAMAGED.keys() and sizes["cmyk.jpg"] == (32, 32)
    everything = as_json(likebut(*search))["hits"]
    [turned] = [hit for hit in everything if hit["path"].endswith("turned.jpg")]
    assert (turned["metadata"]["width"], turned["metadata"]["height"]) == TURNED_SIZE
    for name, reason in DAMAGED.items():
        refused = likebut(*search, "--image", f"data/images/{name}")
        assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
        assert reason in refused.err and name in refused.err


def damage(root: Path, pattern: str) -> list[str]:
    """Damage three images, and return their stems: a query's reference, its target, and one that no query names."""
    reference, target, other = (next(root.rglob(each)) for each in pattern.split())
    write_bomb(reference)
    truncate(target)
    other.write_bytes(b"")
    return [path.stem for path in (reference, target, other)]


def test_cirr_is_evaluated_and_submitted(likebut: Command, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "cirr")
    damaged = damage(root, "test1-0-0-img0.png test1-0-0-img1.png test1-900-0-img0.png")
    out = tmp_path / "out"
    command = ("submit", "cirr", "--root", root, "--model", "retriever", "--out", out)
    said = as_json(likebut(*command, "--json"))
    assert sorted(each["image"] for each in said["skipped"]) == sorted(damaged) and said["unasked"] == 1
    assert said["files"] == [str(out / name) for name in ("cirr_test1_recall.json", "cirr_test1_recall_subset.json")]
    files = [("--predictions", path) for path in said["files"]]
    assert likebut("submit", "check", "cirr", "--root", root, *files[0], *files[1]).code == 0
    rankings = json.loads(Path(said["files"][0]).read_text())
    # What could not be ranked comes last; of the reference nothing is ranked.
    assert set(rankings["101"][-3:]) == set(damaged) and rankings["100"] == sorted(rankings["100"], key=by_split(root))
    text = likebut(*command).out
    assert "3 images were set aside:" in text and "The file is empty." in text
    assert "1 queries refer to one of them" in text
    damage(root, "dev-0-0-img0.png dev-0-0-img1.png dev-900-0-img0.png")
    measured = as_json(likebut("evaluate", "--benchmark", "cirr", "--root", root, "--model", "retriever", "--json"))
    assert len(measured["skipped"]) == 3 and measured["queries"] == 8


def by_split(root: Path) -> Any:
    return list(json.loads((root / "image_splits" / "split.rc2.test1.json").read_text())).index


def test_circo_is_evaluated_and_submitted(likebut: Command, tmp_path: Path) -> None:
    root = write_circo(tmp_path / "circo")
    damaged = [str(int(stem)) for stem in damage(root, "000000001028.jpg 000000001210.jpg 000000001413.jpg")]
    command = ("submit", "circo", "--root", root, "--model", "retriever", "--out", tmp_path / "out")
    said = as_json(likebut(*command, "--json"))
    assert sorted(each["image"] for each in said["skipped"]) == sorted(damaged) and said["unasked"] == 1
    rankings = json.loads((tmp_path / "out" / "circo_test.json").read_text())
    assert [len(ids) for ids in rankings.values()] == [50, 50, 50]
    measured = as_json(likebut("evaluate", "--benchmark", "circo", "--root", root, "--model", "retriever", "--json"))
    assert len(measured["skipped"]) == 3
