"""``likebut report ablations``: what it leaves and prints, on random parts."""

import json
from pathlib import Path

import pytest

from helpers.command import Command
from helpers.training_toys import make_data_folder
from likebut.generator.generator import ModificationGenerator


@pytest.fixture
def likebut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


ABLATIONS = ("report", "ablations", "data", "--out", "out", "--preset", "tiny", "--generator", "writer")


def test_tables_figures_and_results(likebut: Command, tmp_path: Path) -> None:
    make_data_folder(tmp_path / "data")
    also = make_data_folder(tmp_path / "more")
    ModificationGenerator.from_preset("tiny").save(tmp_path / "writer")
    asked = (*ABLATIONS, "--only", "alpha", "--seeds", "2", "--also", also, "--set", "alphas=[0, 0.7]")
    shown = likebut(*asked)
    assert shown.code == 0, shown.err
    assert "α = 0.7: Recall@10" in shown.out and shown.out.splitlines()[-1].startswith(
        "alpha: 6 trainings, 2 seeds a row"
    )
    assert len([line for line in shown.err.splitlines() if line.startswith("— training ")]) == 6
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    [ablation] = results["ablations"]
    low, high = ablation["rows"]
    assert [row["x"] for row in (low, high)] == [0, 0.7] and {row["steps"] for row in (low, high)} == {3 + 2}
    assert low["human"] == 72  # 36 triplets of each folder
    recall = low["metrics"]["Recall@10"]
    assert len(recall["values"]) == 2 and recall["mean"] == pytest.approx(sum(recall["values"]) / 2)
    assert recall["range"] == [min(recall["values"]), max(recall["values"])]
    for name in ("tables/alpha.md", "figures/alpha.svg", "figures/alpha.png", "ablations.md"):
        assert (tmp_path / "out" / name).stat().st_size > 100, name
    again = likebut(*asked, "--json")
    assert again.code == 0 and "training" not in again.err
    assert json.loads(again.out)["ablations"] == results["ablations"]


def test_the_plan_is_said_without_any_data(likebut: Command) -> None:
    planned = likebut("report", "ablations", "nowhere", "--out", "out", "--plan", "--size", "half", "--json")
    # Seven pretrainings of 300 steps, nineteen fine-tunings of 200 and three controls of 500, three times each.
    assert json.loads(planned.out)["trainings"] == 87
    assert json.loads(planned.out)["steps"] == 3 * (7 * 300 + 19 * 200 + 3 * 500)
    fewer = likebut("report", "ablations", "nowhere", "--out", "out", "--plan", "--only", "zero-shot", "--steps", "10")
    assert "15 different trainings, 225 steps of 64 triplets." in fewer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "huge"), 'There is no size "huge". Choose one of: full, half, quick.'),
        (("--only", "beta"), "\"only.0\" is 'beta'"),
        (("--set", "pol=3"), 'Did you mean "pool"?'),
        ((), "There is no folder data."),
    ],
)
def test_wrong_usage(likebut: Command, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    stopped = likebut(*ABLATIONS, *arguments)
    assert stopped.code == 2 and message in stopped.err
    assert not (tmp_path / "out").exists()
