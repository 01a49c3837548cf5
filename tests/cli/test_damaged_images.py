"""Every command that reads images skips damaged ones, lists them with the reason, and uses the rest."""

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
    damage_of,
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
DIFFERENT = len(USABLE) - 1  # one of them is a copy of another
IMAGES = Path("data/images")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and a data folder whose triplets refer to every image including the damaged ones."""
    root = tmp_path_factory.mktemp("awkward")
    write_awkward_images(root / "data" / "images")
    write_triplets(root / "data" / "triplets.jsonl", [*triplets("train"), *triplets("test")])
    captions = [{"split": "train", "image": name, "captions": [f"this is {name}"]} for name in EVERYTHING]
    write_jsonl(root / "data" / "captions.jsonl", captions)
    Retriever.from_preset("tiny").save(root / "retriever")
    ModificationGenerator.from_preset("tiny").save(root / "generator")
    return root


@pytest.fixture(autouse=True)
def _in_place(likebut: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


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


USABLE_TRIPLETS = sum(not {each.reference, each.target} & set(DAMAGED) for each in triplets("train"))


def listed(images: Iterable[dict[str, str]], key: str = "image") -> dict[str, str]:
    """Return name → reason as a command's JSON lists them; paths by their last part."""
    return {Path(each[key]).name: each["reason"] for each in images}


def require_reasons(found: dict[str, str], names: Iterable[str] = DAMAGED) -> None:
    assert sorted(found) == sorted(names)
    for name, reason in found.items():
        assert damage_of(IMAGES / name) in reason


def require_lines(text: str) -> None:
    assert "4 images skipped:" in text
    for name in DAMAGED:
        [line] = [line for line in text.splitlines() if f"{name}: " in line]
        assert damage_of(IMAGES / name) in line


def test_data_verify(likebut: Command) -> None:
    text = likebut("data", "verify", "data")
    assert text.code == 2
    for name in DAMAGED:
        [line] = [line for line in text.out.splitlines() if line.startswith(f"fault: images/{name}: ")]
        assert damage_of(IMAGES / name) in line
    [notice] = [line for line in text.out.splitlines() if line.startswith(f"notice: images/{ORIGINAL}: ")]
    assert COPY in notice
    found = json.loads(likebut("data", "verify", "data", "--json").out)
    assert (found["images"], found["triplets"], found["faults"]) == (len(EVERYTHING), 2 * len(EVERYTHING), 4)
    faults = [each for each in found["findings"] if each["severity"] == "fault"]
    require_reasons({Path(each["where"]).name: each["problem"] for each in faults})


@pytest.mark.parametrize("folder", ["data", "data/images"])
def test_pairs(likebut: Command, tmp_path: Path, folder: str) -> None:
    out = tmp_path / "pairs.parquet"
    printed = likebut("pairs", folder, "--out", out, *ANY_PAIR, "--json").json()
    require_reasons(listed(printed["skipped"]))
    [(name, reason)] = listed(printed["repeated"]).items()
    assert name == COPY and ORIGINAL in reason
    paired = {frozenset((pair.reference, pair.target)) for pair in read_pairs(out)}
    assert printed["images"] == DIFFERENT and len(paired) == DIFFERENT * (DIFFERENT - 1) // 2
    text = likebut("pairs", folder, "--out", out, *ANY_PAIR).out
    assert "5 images skipped:" in text and any(COPY in line and ORIGINAL in line for line in text.splitlines())
    assert all(f"  {name}: " in text for name in DAMAGED)


WRITING = ("--generator", "generator", "--decoding", "greedy", "--length", "short")


def test_synthesize_about_pairs(likebut: Command, tmp_path: Path) -> None:
    ring = [MinedPair(each.reference, each.target) for each in triplets("train")]
    write_pairs(tmp_path / "pairs.parquet", ring, {})
    out = tmp_path / "shards"
    command = ("synthesize", "data", "--pairs", tmp_path / "pairs.parquet", "--out", out, *WRITING)
    command = (*command, "--retriever", "retriever")
    printed = likebut(*command, "--json").json()
    require_reasons(listed(printed["skipped"]))
    assert printed["pairs"] == USABLE_TRIPLETS
    rows = [row for path in out.glob("shard-*.parquet") for row in read_rows(path)]
    assert {(row.reference, row.target) for row in rows} == {
        (pair.reference, pair.target) for pair in ring if not {pair.reference, pair.target} & set(DAMAGED)
    }
    require_lines(likebut(*command).out)


def test_synthesize_reverse_texts(likebut: Command, tmp_path: Path) -> None:
    command = ("synthesize", "data", "--reverse-for", "test", "--out", tmp_path / "reverse", *WRITING)
    printed = likebut(*command, "--json").json()
    require_reasons(listed(printed["skipped"]))
    assert printed["pairs"] == USABLE_TRIPLETS
    written = read_triplets(tmp_path / "reverse" / "triplets.jsonl")
    assert len(written) + printed["triplets_left_out"] == len(EVERYTHING)
    require_lines(likebut(*command).out)


@pytest.mark.parametrize("job", ["retriever", "generator"])
def test_train(likebut: Command, tmp_path: Path, job: str) -> None:
    captions = ("--set", "captions.steps=1", "--set", "captions.batch_size=4") if job == "generator" else ()
    command = ("train", job, "--recipe", f"tiny-{job}", "--data", "data", "--set", "training.steps=3", *captions)
    printed = likebut(*command, "--out", tmp_path / "out", "--json").json()
    require_reasons(listed(printed["skipped"]))
    assert (printed["steps"], printed["triplets"]) == (3, USABLE_TRIPLETS)
    text = likebut(*command, "--out", tmp_path / "out")
    assert text.code == 0
    require_lines(text.out)


@pytest.mark.parametrize("cache", ["--cache", "--no-cache"])
def test_evaluate(likebut: Command, cache: str) -> None:
    command = ("evaluate", "--data", "data", "--model", "retriever", cache)
    printed = likebut(*command, "--json").json()
    require_reasons(listed(printed["skipped"]))
    assert (printed["queries"], printed["gallery"]) == (len(EVERYTHING), len(EVERYTHING))
    # A query whose reference or target is skipped counts as a miss.
    assert printed["Recall@50"] == pytest.approx(100 * USABLE_TRIPLETS / len(EVERYTHING))
    text = likebut(*command).out
    require_lines(text)
    assert any(line.startswith("Note: ") and "4" in line for line in text.splitlines())


def test_index_and_search(likebut: Command, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    printed = likebut("index", "data/images", "--gallery", gallery, "--model", "retriever", "--json").json()
    require_reasons(listed(printed["skipped"], "path"))
    assert (printed["added"], printed["copies"], printed["images"]) == (DIFFERENT, 1, DIFFERENT)
    again = likebut("index", "data/images", "--gallery", gallery)
    require_lines(again.out)
    assert "12 unchanged" in again.out and "added" not in again.out
    search = ("search", "--gallery", gallery, "--text", "in blue", "-k", "50", "--json")
    hits = likebut(*search, "--image", "data/images/turned.jpg").json()["hits"]
    assert len(hits) == DIFFERENT - 1  # the reference is not its own result
    sizes = {Path(hit["path"]).name: (hit["metadata"]["width"], hit["metadata"]["height"]) for hit in hits}
    assert not sizes.keys() & set(DAMAGED) and sizes["cmyk.jpg"] == (32, 32)
    everything = likebut(*search).json()["hits"]
    [turned] = [hit for hit in everything if hit["path"].endswith("turned.jpg")]
    assert (turned["metadata"]["width"], turned["metadata"]["height"]) == TURNED_SIZE
    for name in DAMAGED:
        refused = likebut(*search, "--image", f"data/images/{name}")
        refused.require_refused(f"data/images/{name}")
        assert damage_of(IMAGES / name) in refused.err and refused.err.count("\n") == 1


def damage(root: Path, pattern: str) -> list[str]:
    """Damage three images, and return their stems: a query's reference, its target, and one that no query names."""
    reference, target, other = (next(root.rglob(each)) for each in pattern.split())
    write_bomb(reference)
    truncate(target)
    other.write_bytes(b"")
    return [path.stem for path in (reference, target, other)]


def test_cirr(likebut: Command, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "cirr")
    damaged = damage(root, "test1-0-0-img0.png test1-0-0-img1.png test1-900-0-img0.png")
    out = tmp_path / "out"
    command = ("submit", "cirr", "--root", root, "--model", "retriever", "--out", out)
    printed = likebut(*command, "--json").json()
    assert sorted(each["image"] for each in printed["skipped"]) == sorted(damaged) and printed["unasked"] == 1
    assert printed["files"] == [str(out / name) for name in ("cirr_test1_recall.json", "cirr_test1_recall_subset.json")]
    files = [("--predictions", path) for path in printed["files"]]
    assert likebut("submit", "check", "cirr", "--root", root, *files[0], *files[1]).code == 0
    rankings = json.loads(Path(printed["files"][0]).read_text())
    # Skipped images come last; a query with a skipped reference is in the gallery's order.
    assert set(rankings["101"][-3:]) == set(damaged) and rankings["100"] == sorted(rankings["100"], key=by_split(root))
    text = likebut(*command).out
    assert "3 images skipped:" in text and text.splitlines()[-1].startswith("1 queries ")
    damage(root, "dev-0-0-img0.png dev-0-0-img1.png dev-900-0-img0.png")
    measured = likebut("evaluate", "--benchmark", "cirr", "--root", root, "--model", "retriever", "--json").json()
    assert len(measured["skipped"]) == 3 and measured["queries"] == 8


def by_split(root: Path) -> Any:
    return list(json.loads((root / "image_splits" / "split.rc2.test1.json").read_text())).index


def test_circo(likebut: Command, tmp_path: Path) -> None:
    root = write_circo(tmp_path / "circo")
    damaged = [str(int(stem)) for stem in damage(root, "000000001028.jpg 000000001210.jpg 000000001413.jpg")]
    command = ("submit", "circo", "--root", root, "--model", "retriever", "--out", tmp_path / "out")
    printed = likebut(*command, "--json").json()
    assert sorted(each["image"] for each in printed["skipped"]) == sorted(damaged) and printed["unasked"] == 1
    rankings = json.loads((tmp_path / "out" / "circo_test.json").read_text())
    assert [len(ids) for ids in rankings.values()] == [50, 50, 50]
    measured = likebut("evaluate", "--benchmark", "circo", "--root", root, "--model", "retriever", "--json").json()
    assert len(measured["skipped"]) == 3
