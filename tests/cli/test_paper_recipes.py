"""The paper's way through a benchmark, at toy size: pretrain on shards, fine-tune with reverse texts, evaluate."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.command import Command
from helpers.official import write_cirr, write_fashioniq
from likebut.data.synthetic_triplets import (
    PAIRS_JOB,
    REVERSE_JOB,
    SETTINGS_NAME,
    SUMMARY_NAME,
    SyntheticRow,
    shard_name,
    write_rows,
)
from likebut.data.triplets import Triplet
from likebut.evaluation.benchmarks.cirr import load_cirr_triplets
from likebut.evaluation.benchmarks.fashioniq import load_fashioniq_triplets
from likebut.files import write_json

SMALL = ("--set", "preset=tiny", "--set", "training.batch_size=4", "--set", "training.epochs=2", "--json")


def write_run(folder: Path, job: str, rows: Sequence[SyntheticRow]) -> Path:
    """Write what `likebut synthesize` leaves behind."""
    folder.mkdir()
    write_rows(folder / shard_name(0), list(rows))
    write_json(folder / SETTINGS_NAME, {"job": job})
    write_json(folder / SUMMARY_NAME, {"shards": 1, "skipped": []})
    return folder


def synthetic_row(number: int, reference: str, target: str, both: bool) -> SyntheticRow:
    reverse = {"reverse_modification": f"undo edit {number}", "reverse_status": "kept"} if both else {}
    return SyntheticRow(number, reference, target, f"edit {number}", "{}", status="kept", **reverse)


def write_runs(folder: Path, triplets: list[Triplet]) -> tuple[Path, Path]:
    """Write shards over some pairs of the triplets' images, and reverse texts for the triplets themselves."""
    names = sorted({name for triplet in triplets for name in (triplet.reference, triplet.target)})
    pairs = [synthetic_row(number, names[number], names[number + 1], True) for number in range(6)]
    reverse = [synthetic_row(number, each.target, each.reference, False) for number, each in enumerate(triplets)]
    return write_run(folder / "shards", PAIRS_JOB, pairs), write_run(folder / "reverse", REVERSE_JOB, reverse)


@pytest.mark.parametrize("benchmark", ["cirr", "fashioniq"])
def test_pretrain_fine_tune_evaluate(likebut: Command, tmp_path: Path, benchmark: str) -> None:
    root = tmp_path / benchmark
    if benchmark == "cirr":
        triplets, _ = load_cirr_triplets(write_cirr(root))
    else:
        triplets, _ = load_fashioniq_triplets(write_fashioniq(root))
    shards, reverse = write_runs(tmp_path, triplets)
    common = ("train", "retriever", "--data", root, *SMALL)

    refused = likebut(*common, "--recipe", f"{benchmark}-paper", "--out", tmp_path / "refused")
    refused.require_refused("loss.alpha")

    pretraining = ("--recipe", f"{benchmark}-paper-pretrain", "--synthetic", shards, "--out", tmp_path / "pretrained")
    pretrained = likebut(*common, *pretraining)
    assert pretrained.code == 0, pretrained.err
    # Six pairs, as in the paper forwards alone, are six triplets: one step of four, twice.
    assert json.loads(pretrained.out) | {"model": ""} == {"model": "", "steps": 2, "triplets": 6, "skipped": []}

    fine_tuning = ("--recipe", f"{benchmark}-paper", "--reverse-texts", reverse, "--init", tmp_path / "pretrained")
    watched = ("--set", "training.evaluate_every=2", "--out", tmp_path / "tuned")
    tuned = likebut(*common, *fine_tuning, *watched)
    assert tuned.code == 0, tuned.err
    assert json.loads(tuned.out)["triplets"] == len(triplets) and json.loads(tuned.out)["best_step"]
    assert "left_out" not in json.loads(tuned.out)

    measured = likebut("evaluate", "--benchmark", benchmark, "--root", root, "--model", tmp_path / "tuned", "--json")
    assert measured.code == 0, measured.err
    metrics = json.loads(measured.out)
    recalls = [value for name, value in metrics.items() if name.startswith("Recall") and "interval" not in name]
    assert sum(recalls) / len(recalls) == pytest.approx(json.loads(tuned.out)["best_value"])


def test_loss_weights_from_the_command_line(likebut: Command, tmp_path: Path) -> None:
    root = write_fashioniq(tmp_path / "fashioniq")
    _, reverse = write_runs(tmp_path, load_fashioniq_triplets(root)[0])
    common = ("train", "retriever", "--data", root, *SMALL, "--recipe", "fashioniq-paper", "--reverse-texts", reverse)
    common = (*common, "--set", "training.log_every=1", "--set", "training.evaluate_every=null")
    common = (*common, "--set", "training.best_metric=null", "--set", "training.precision=fp32")

    def first_losses(alpha: str, text: str) -> dict[str, float]:
        out = tmp_path / f"{alpha}-{text}"
        weights = ("--set", f"loss.alpha={alpha}", "--set", f"loss.lambda_text={text}")
        trained = likebut(*common, *weights, "--out", out)
        assert trained.code == 0, trained.err
        row: dict[str, float] = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
        return row

    # Before the first step nothing differs but the weights.
    ones, others = first_losses("1", "1"), first_losses("2.5", "0.25")
    assert others["query_loss"] == pytest.approx(ones["query_loss"])
    assert others["prototype_loss"] == pytest.approx(2.5 * ones["prototype_loss"])
    assert others["text_loss"] == pytest.approx(0.25 * ones["text_loss"])
    summed = sum(others[name] for name in ("query_loss", "prototype_loss", "text_loss"))
    assert others["loss"] == pytest.approx(summed)
    assert ones["prototype_loss"] > 0 and ones["text_loss"] > 0


def test_evaluation_problems_are_reported_before_training(likebut: Command, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "cirr")
    _, reverse = write_runs(tmp_path, load_cirr_triplets(root)[0])
    common = ("train", "retriever", "--data", root, *SMALL, "--recipe", "cirr-paper", "--reverse-texts", reverse)
    common = (*common, "--out", tmp_path / "out")
    hidden = likebut(*common, "--set", "data.evaluation_split=test1", "--set", "training.best_metric=null")
    hidden.require_refused("test1")
    for image in sorted((root / "img_raw" / "dev").iterdir())[:5]:
        image.unlink()
    missing = likebut(*common)
    missing.require_refused("5", "26")
    assert not list((tmp_path / "out").glob("checkpoints/*"))


def test_human_triplets_without_reverse_text_are_counted(likebut: Command, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "cirr")
    triplets, _ = load_cirr_triplets(root)
    rows = [synthetic_row(number, each.target, each.reference, False) for number, each in enumerate(triplets)]
    rows[-1] = replace(rows[-1], status="round trip")
    reverse = write_run(tmp_path / "reverse", REVERSE_JOB, rows)
    common = ("train", "retriever", "--data", root, *SMALL, "--recipe", "cirr-paper", "--reverse-texts", reverse)
    common = (*common, "--set", "training.evaluate_every=null", "--set", "training.best_metric=null")
    trained = likebut(*common, "--out", tmp_path / "out")
    assert trained.code == 0, trained.err
    assert (json.loads(trained.out)["triplets"], json.loads(trained.out)["left_out"]) == (len(triplets) - 1, 1)
    again = likebut(*(each for each in common if each != "--json"), "--out", tmp_path / "out")
    assert again.code == 0 and "1 more" in again.out
