import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from likebut.data.folder import DataFolder
from likebut.data.triplets import Triplet
from likebut.data.verification import verify_folder
from likebut.errors import InputError, ResumeError
from likebut.research.sample_data.attributes import changes_between
from likebut.research.sample_data.grounding import measure_grounding
from likebut.research.sample_data.sample import SampleSettings, draw_all_families, make_sample

SMALL = SampleSettings(seed=5, train_families=3, val_families=1, test_families=4, pool_families=2)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "data"
    counts = make_sample(folder, SMALL)
    assert (counts.images, counts.triplets) == (60, 48)
    return folder


def test_the_folder_is_valid(folder: Path) -> None:
    result = verify_folder(folder)
    assert (result.images, result.triplets) == (60, 48)
    assert [finding for finding in result.findings if finding.severity == "fault"] == []


def test_galleries_captions_and_attributes(folder: Path) -> None:
    data = DataFolder.open(folder)
    assert {split: len(data.gallery(split)) for split in ("train", "val", "test", "pool")} == {
        "train": 18, "val": 6, "test": 24, "pool": 12,
    }  # fmt: skip
    captions = data.captions("train")
    assert sorted(captions) == sorted(data.gallery("train"))
    assert data.captions("test") == {}
    assert all(1 <= len(texts) <= 4 for texts in captions.values())
    assert set(data.attributes()) == set(data.images())


def satisfies(attributes: dict[str, str], reference: dict[str, str], changes: dict[str, str]) -> bool:
    """The naive oracle: the reference with the changes, without the attributes that they hide."""
    wanted = {**reference, **changes}
    return (
        all(wanted.get(name) == value for name, value in attributes.items()) and changes.items() <= attributes.items()
    )


def test_labels_agree_with_a_naive_oracle(folder: Path) -> None:
    data = DataFolder.open(folder)
    attributes = data.attributes()
    for triplet in data.triplets():
        reference, target = attributes[triplet.reference], attributes[triplet.target]
        changes = changes_between(reference, target)
        assert 1 <= len(changes) <= 3
        assert triplet.meta["changes"] == changes
        assert triplet.reference not in {*triplet.targets, *triplet.subset, *triplet.hard_negatives}
        assert all(satisfies(attributes[name], reference, changes) for name in triplet.targets)
        assert not set(triplet.targets) & set(triplet.hard_negatives)
        assert set(triplet.images()) <= set(data.gallery(triplet.split))
        assert len(triplet.subset) == 5
        assert {name.split("-")[0] for name in triplet.subset} == {triplet.target.split("-")[0]}
        assert triplet.hard_negatives


def test_texts_name_the_changes_in_both_directions(folder: Path) -> None:
    data = DataFolder.open(folder)
    attributes = data.attributes()

    def reverse(triplet: Triplet) -> str:
        assert triplet.reverse_modification is not None
        return triplet.reverse_modification

    triplets = data.triplets()
    forward = [(attributes[t.reference], attributes[t.target], t.modification) for t in triplets]
    backward = [(attributes[t.target], attributes[t.reference], reverse(t)) for t in triplets]
    assert measure_grounding(forward + backward).f1 >= 0.97


def test_no_text_mentions_skin(folder: Path) -> None:
    written = (folder / "triplets.jsonl").read_text() + (folder / "captions.jsonl").read_text()
    assert "skin" not in written
    assert "skin" not in (folder / "attributes.jsonl").read_text()


def test_no_drawing_occurs_twice_and_splits_are_independent() -> None:
    families = draw_all_families(SampleSettings(train_families=60, val_families=20, test_families=30, pool_families=60))
    scenes = [scene.visible() for split in families.values() for family in split for scene in family.values()]
    assert len(scenes) == len(set(scenes)) == 170 * 6
    fewer = draw_all_families(SampleSettings(train_families=5, val_families=20, test_families=30, pool_families=0))
    assert fewer["test"] == families["test"]
    assert fewer["val"] == families["val"]


def test_a_second_run_changes_nothing(folder: Path) -> None:
    before = contents(folder)
    times = {name: (folder / name).stat().st_mtime_ns for name in before}
    make_sample(folder, SMALL)
    assert contents(folder) == before
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == times


def test_missing_files_are_written_again_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    make_sample(again, SMALL)
    assert contents(again) == contents(folder)
    for name in ("images/test/0001-2.png", "triplets.jsonl", "captions.jsonl"):
        (again / name).unlink()
    (again / "images" / "test" / ".0001-2.png.abc.tmp").write_bytes(b"half")
    make_sample(again, SMALL)
    assert contents(again) == contents(folder)


@pytest.mark.parametrize("change", [{"seed": 6}, {"pool_families": 3}])
def test_other_settings_are_refused_by_name(folder: Path, change: dict[str, int]) -> None:
    name, value = next(iter(change.items()))
    with pytest.raises(ResumeError) as error:
        make_sample(folder, SMALL.model_copy(update=change))
    assert f"{name} = {getattr(SMALL, name)}, not {value}" in str(error.value)


def test_other_versions_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    header = json.loads((folder / "sample.json").read_text())
    header["versions"]["resvg_py"] = "0.4.0"
    (tmp_path / "sample.json").write_text(json.dumps(header))
    with pytest.raises(ResumeError) as error:
        make_sample(tmp_path, SMALL)
    assert "resvg_py = 0.4.0" in str(error.value)


def test_a_folder_with_other_files_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("important")
    with pytest.raises(InputError) as error:
        make_sample(tmp_path, SMALL)
    assert error.value.code == "folder-in-use"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_killed_at_random_moments_it_ends_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    target, generator = tmp_path / "killed", random.Random(0)
    code = (
        "import sys; from pathlib import Path\n"
        "from likebut.research.sample_data.sample import SampleSettings, make_sample\n"
        f"make_sample(Path(sys.argv[1]), SampleSettings(**{SMALL.model_dump()!r}))"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(target)], stderr=subprocess.DEVNULL)
        made = len(list(target.rglob("*.png")))
        deadline, enough = time.monotonic() + 60, made + generator.randrange(1, 20)
        while process.poll() is None and len(list(target.rglob("*.png"))) < enough and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 0 < len(list(target.rglob("*.png"))) <= 60
    make_sample(target, SMALL)
    assert contents(target) == contents(folder)
