"""``likebut report panels`` and ``likebut report samples`` on random parts."""

import json
from pathlib import Path

import pytest
from PIL import Image

from helpers.command import Command
from helpers.training_toys import make_data_folder
from likebut.generator.generator import ModificationGenerator
from likebut.retriever.retriever import Retriever


@pytest.fixture
def likebut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    make_data_folder(tmp_path / "data")
    return Command(monkeypatch, capsys)


def test_panels_and_the_rule_they_were_chosen_by(likebut: Command, tmp_path: Path) -> None:
    Retriever.from_preset("tiny").save(tmp_path / "model")
    asked = ("report", "panels", "panels.png", "--data", "data", "--split", "val", "--model", "model")
    shown = likebut(*asked, "--found", "2", "--missed", "0")
    if shown.code == 2:  # a retriever of random weights may find nothing
        assert "0 were found" in shown.err
        shown = likebut(*asked, "--found", "0", "--missed", "3")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("Of 12 queries: ") and "drawn by lot among the" in shown.out
    with Image.open(tmp_path / "panels.png") as picture:
        assert picture.format == "PNG" and picture.width > 1000
    nothing = likebut(*asked, "--found", "0", "--missed", "0")
    assert nothing.code == 2 and "Give --found or --missed." in nothing.err
    both = likebut(*asked, "--benchmark", "clothing")
    assert both.code == 2 and "one of --data and --benchmark" in both.err


def test_samples_with_their_pictures_and_listings(likebut: Command, tmp_path: Path) -> None:
    ModificationGenerator.from_preset("tiny").save(tmp_path / "writer")
    asked = ("report", "samples", "shown", "--data", "data", "--generator", "writer")
    shown = likebut(*asked, "--count", "6", "--length", "short")
    assert shown.code == 0, shown.err
    listing = json.loads((tmp_path / "shown" / "samples.json").read_text(encoding="utf-8"))
    assert len(listing["samples"]) == 6 and all(sample["human"].startswith("make it ") for sample in listing["samples"])
    assert (tmp_path / "shown" / "samples.md").read_text(encoding="utf-8").count("make it ") == 6
    with Image.open(tmp_path / "shown" / "samples.png") as picture:
        assert picture.format == "PNG"
    assert (tmp_path / "shown" / "samples.png").stat().st_size < 1_500_000
    too_many = likebut(*asked, "--count", "40")
    assert too_many.code == 2 and "Give --count 12." in too_many.err


def test_failures_by_kind(likebut: Command, tmp_path: Path) -> None:
    Retriever.from_preset("tiny").save(tmp_path / "model")
    asked = ("report", "failures", "data", "--model", "model")
    missing = likebut(*asked)
    assert missing.code == 2 and "attributes.jsonl" in missing.err
    names = sorted(path.relative_to("data/images").as_posix() for path in Path("data/images").rglob("*.png"))
    rows = [json.dumps({"image": name, "attributes": {"colour": name}}) for name in names]
    Path("data/attributes.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    shown = likebut(*asked)
    assert shown.code == 0, shown.err
    assert shown.out.splitlines()[1].split()[:2] == ["all", "12"] and "one kind alone" in shown.out
    [everything, *_] = json.loads(likebut(*asked, "--json").out)["kinds"]
    assert everything["name"] == "all" and 0 <= everything["first"] <= everything["among_ten"] <= 100
