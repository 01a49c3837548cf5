"""``likebut report ablations`` with random weights."""

import json
from pathlib import Path

import pytest

from helpers.command import Command
from helpers.training_toys import make_data_folder
from likebut.generator.generator import ModificationGenerator

ABLATIONS = ("report", "ablations", "data", "--out", "out", "--preset", "tiny", "--generator", "writer")


@pytest.fixture
def data(likebut: Command) -> Path:
    ModificationGenerator.from_preset("tiny").save(Path("writer"))
    return make_data_folder(Path("data"))


def test_tables_figures_and_results(likebut: Command, data: Path) -> None:
    also = make_data_folder(Path("more"))
    arguments = (*ABLATIONS, "--only", "alpha", "--seeds", "2", "--also", also, "--set", "alphas=[0, 0.7]")
    shown = likebut(*arguments)
    assert shown.code == 0, shown.err
    assert sum(line.startswith("— training ") for line in shown.err.splitlines()) == 6
    results = json.loads(Path("out/results.json").read_text(encoding="utf-8"))
    [ablation] = results["ablations"]
    low, high = ablation["rows"]
    assert [row["x"] for row in (low, high)] == [0, 0.7] and {row["steps"] for row in (low, high)} == {3 + 2}
    assert low["human"] == 72  # 36 triplets per folder
    for row in (low, high):
        # The values of a row are those of its two trainings, one per seed, as each training recorded them.
        trained = [
            result
            for result in map(json.loads, (path.read_text() for path in Path("out/runs").glob("human-*/result.json")))
            if result["training"]["alpha"] == row["x"]
        ]
        trained.sort(key=lambda result: result["training"]["seed"])
        for name, metric in row["metrics"].items():
            assert metric["values"] == [result["metrics"][name] for result in trained], name
        recall = row["metrics"]["Recall@10"]
        first, second = recall["values"]
        assert recall["mean"] == pytest.approx((first + second) / 2)
        assert recall["standard_deviation"] == pytest.approx(abs(first - second) / 2**0.5)
        assert recall["range"] == [min(first, second), max(first, second)]
        # The terminal and the table show the same mean.
        assert f"{row['label']}: Recall@10 {recall['mean']:.1f}" in shown.out
        table = Path("out/tables/alpha.md").read_text().splitlines()
        [line] = [line for line in table if line.startswith(f"| {row['label']} |")]
        assert f"{recall['mean']:.1f}" in line
    for name in ("figures/alpha.svg", "figures/alpha.png", "ablations.md"):
        assert (Path("out") / name).stat().st_size > 100, name
    again = likebut(*arguments, "--json")
    assert again.json()["ablations"] == results["ablations"] and "training" not in again.err


def test_metrics_are_those_of_evaluate(likebut: Command, data: Path) -> None:
    """A zero-shot row keeps its model, which ``likebut evaluate`` gives the row's metrics."""
    printed = likebut(*ABLATIONS, "--only", "zero-shot", "--seeds", "1", "--set", "sizes=[1.0, 2.0]", "--json").json()
    rows = {row["synthetic"]: row for row in printed["ablations"][0]["rows"]}
    models = [path.parent for path in Path("out/runs").glob("*/retriever")]
    assert len(models) == len(rows) == 2
    for folder in models:
        recorded = json.loads((folder / "result.json").read_text())
        row = rows[recorded["triplets"]]
        measured = likebut("evaluate", "--data", data, "--split", "val", "--model", folder, "--json").json()
        assert row["metrics"].keys() == {name for name in measured if f"{name} interval" in measured}
        for name, metric in row["metrics"].items():
            assert metric["values"] == [pytest.approx(measured[name])], name


def test_plan_without_data(likebut: Command) -> None:
    planned = likebut("report", "ablations", "nowhere", "--out", "out", "--plan", "--size", "half", "--json").json()
    # Seven pretrainings of 300 steps, nineteen fine-tunings of 200 and three controls of 500, three times each.
    assert planned["trainings"] == 87
    assert planned["steps"] == 3 * (7 * 300 + 19 * 200 + 3 * 500)
    fewer = likebut("report", "ablations", "nowhere", "--out", "out", "--plan", "--only", "zero-shot", "--steps", "10")
    last = fewer.out.splitlines()[-1]
    assert last.startswith("15 ") and " 225 steps of 64 triplets" in last


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--size", "huge"), ("huge", "full", "half", "quick")),
        (("--only", "beta"), ("only.0", "beta")),
        (("--set", "pol=3"), ("pol", "pool")),
        ((), ("data",)),
    ],
)
def test_wrong_usage(likebut: Command, tmp_path: Path, arguments: tuple[str, ...], named: tuple[str, ...]) -> None:
    likebut(*ABLATIONS, *arguments).require_refused(*named)
    assert not (tmp_path / "out").exists()
