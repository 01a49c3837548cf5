"""``likebut report panels``, ``samples`` and ``failures`` with random weights."""

import json
from pathlib import Path

import pytest
from PIL import Image

from helpers.command import Command
from helpers.training_toys import make_data_folder
from likebut.generator.generator import ModificationGenerator
from likebut.retriever.retriever import Retriever


@pytest.fixture(autouse=True)
def _data(likebut: Command) -> None:
    make_data_folder(Path("data"))


def test_panels(likebut: Command, tmp_path: Path) -> None:
    Retriever.from_preset("tiny").save(tmp_path / "model")
    arguments = ("report", "panels", "panels.png", "--data", "data", "--split", "val", "--model", "model")
    shown = likebut(*arguments, "--found", "2", "--missed", "0")
    if shown.code == 2:  # with random weights no target may have rank 1
        shown.require_refused("0")
        shown = likebut(*arguments, "--found", "0", "--missed", "3")
    assert shown.code == 0, shown.err
    assert " 12 queries" in shown.out.splitlines()[0]
    with Image.open(tmp_path / "panels.png") as image:
        assert image.format == "PNG" and image.width > 1000
    likebut(*arguments, "--found", "0", "--missed", "0").require_refused("--found", "--missed", code="no-panels")
    likebut(*arguments, "--benchmark", "clothing").require_refused(code="data-or-benchmark")


def test_samples(likebut: Command, tmp_path: Path) -> None:
    ModificationGenerator.from_preset("tiny").save(tmp_path / "writer")
    arguments = ("report", "samples", "shown", "--data", "data", "--generator", "writer")
    shown = likebut(*arguments, "--count", "6", "--length", "short")
    assert shown.code == 0, shown.err
    listing = json.loads((tmp_path / "shown" / "samples.json").read_text(encoding="utf-8"))
    assert len(listing["samples"]) == 6 and all(sample["human"].startswith("make it ") for sample in listing["samples"])
    assert (tmp_path / "shown" / "samples.md").read_text(encoding="utf-8").count("make it ") == 6
    with Image.open(tmp_path / "shown" / "samples.png") as image:
        assert image.format == "PNG"
    assert (tmp_path / "shown" / "samples.png").stat().st_size < 1_500_000
    likebut(*arguments, "--count", "40").require_refused("40", "--count 12")


def test_failures(likebut: Command, tmp_path: Path) -> None:
    Retriever.from_preset("tiny").save(tmp_path / "model")
    arguments = ("report", "failures", "data", "--model", "model")
    likebut(*arguments).require_refused("data/attributes.jsonl")
    names = sorted(path.relative_to("data/images").as_posix() for path in Path("data/images").rglob("*.png"))
    rows = [json.dumps({"image": name, "attributes": {"colour": name}}) for name in names]
    Path("data/attributes.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    shown = likebut(*arguments)
    assert shown.code == 0, shown.err
    assert shown.out.splitlines()[1].split()[:2] == ["all", "12"]
    rows_shown = likebut(*arguments, "--json").json()["kinds"]
    measured = likebut("evaluate", "--data", "data", "--model", "model", "--split", "val", "--json").json()
    everything, colour = rows_shown[0], next(row for row in rows_shown if row["name"] == "colour")
    # Every query changes the colour and nothing else.
    assert everything["queries"] == colour["queries"] == 12
    for row in (everything, colour):
        assert (row["first"], row["among_ten"]) == pytest.approx((measured["Recall@1"], measured["Recall@10"]))
