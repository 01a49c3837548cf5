import errno
import json
import random
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from helpers.errors import raises
from helpers.training_toys import folder_data, free_port, join_two_processes, make_data_folder, run_in_child, tree_hash
from likebut.data.images import SkippedImage
from likebut.errors import ImageError, InputError, ResumeError
from likebut.features import encoding
from likebut.files import sha256_of
from likebut.models.model_folder import trained_state
from likebut.models.preset import load_preset
from likebut.models.vision import VisionEncoder
from likebut.progress import progress_shown
from likebut.recipes.loading import load_recipe
from likebut.recipes.schema import RetrieverRecipe
from likebut.retriever.retriever import Retriever
from likebut.training import loop
from likebut.training.evaluation import RetrievalEvaluator
from likebut.training.metrics_log import read_metrics
from likebut.training.train_retriever import RetrieverRun, start_retriever, train_retriever


def recipe(*overrides: str) -> RetrieverRecipe:
    chosen = load_recipe("tiny-retriever", ["loss.alpha=0.4", *overrides])
    assert isinstance(chosen, RetrieverRecipe)
    return chosen


def run(folder: Path, out: Path, *overrides: str) -> RetrieverRun:
    return train_retriever(recipe(*overrides), folder_data(folder), out, out.parent / "features")


def test_the_output_is_a_model_folder_with_the_trained_weights(tmp_path: Path) -> None:
    done = run(make_data_folder(tmp_path / "data"), tmp_path / "out")
    assert (done.result.steps, done.triplets, done.skipped) == (8, 36, [])
    loaded, fresh = Retriever.from_pretrained(tmp_path / "out"), start_retriever(recipe())
    image = Image.new("RGB", (40, 40), "red")
    ours, theirs = done.retriever.embed_queries([image], ["blue"]), loaded.embed_queries([image], ["blue"])
    assert (ours == theirs).all() and (ours != fresh.embed_queries([image], ["blue"])).any()
    last = load_file(tmp_path / "out" / "checkpoints" / "step-00000008" / "model.safetensors")
    saved = load_file(tmp_path / "out" / "retriever" / "model.safetensors")
    assert last.keys() == saved.keys() and all(torch.equal(last[name], saved[name]) for name in last)
    assert not any("word" in name for name in saved)  # the word embeddings are frozen


def test_training_never_runs_the_vision_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_data_folder(tmp_path / "data")
    run(folder, tmp_path / "first")

    def refuse(self: VisionEncoder, pixels: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the vision encoder was run")

    monkeypatch.setattr(VisionEncoder, "forward", refuse)
    run(folder, tmp_path / "second")
    first, second = (tmp_path / name / "retriever" / "model.safetensors" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_an_unreadable_file_is_an_error_until_it_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder_data(make_data_folder(tmp_path / "data"))
    with monkeypatch.context() as patch:

        def failing(path: Path) -> str:
            if path.name == "0-red.png":
                raise OSError(errno.EIO, "Input/output error")
            return sha256_of(path)

        patch.setattr("likebut.features.content_hashes.sha256_of", failing)
        with raises(InputError, None, 1, "0-red.png", "Input/output error"):
            train_retriever(recipe(), data, tmp_path / "out", tmp_path / "features")
    # Nothing was trained without it, and the same call resumes.
    assert train_retriever(recipe(), data, tmp_path / "out", tmp_path / "features").skipped == []


def test_missing_images_are_reported_before_the_first_step(tmp_path: Path, capfd) -> None:
    folder = make_data_folder(tmp_path / "data")
    data = folder_data(folder)
    (folder / "images" / "0-red.png").unlink()
    with progress_shown(True):
        trained = train_retriever(recipe(), data, tmp_path / "out", tmp_path / "features")
    lines = capfd.readouterr().err.splitlines()
    [reported] = [number for number, line in enumerate(lines) if "0-red.png" in line]
    assert reported < min(number for number, line in enumerate(lines) if '"loss"' in line)
    assert len(trained.skipped) == 1
    for path in (folder / "images").iterdir():
        path.unlink()
    with raises(InputError, None, 12, "0-blue.png"):
        train_retriever(recipe(), data, tmp_path / "none", tmp_path / "features")


def train_in_child(folder: Path, out: Path, features: Path) -> None:
    train_retriever(recipe("training.steps=150", "training.checkpoint_every=3"), folder_data(folder), out, features)


def test_killed_at_any_moment_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    train_in_child(folder, tmp_path / "undisturbed", tmp_path / "features-undisturbed")
    moments, kills = random.Random(time.time_ns()), 0
    for _ in range(4):
        arguments = (folder, tmp_path / "killed", tmp_path / "features-killed")
        kills += not run_in_child(train_in_child, arguments, kill_after=moments.uniform(0.1, 0.5))
    assert run_in_child(train_in_child, (folder, tmp_path / "killed", tmp_path / "features-killed"))
    assert kills >= 2, "the work was too short to be interrupted"
    undisturbed = tree_hash(tmp_path / "undisturbed" / "retriever", "*")
    assert tree_hash(tmp_path / "killed" / "retriever", "*") == undisturbed and len(undisturbed) == 2


def train_as_one_of_two(folder: Path, out: Path, features: Path, process: int, port: int) -> None:
    join_two_processes(process, port)
    train_without_dropout(folder, out, features)


def train_without_dropout(folder: Path, out: Path, features: Path) -> None:
    chosen = recipe("training.steps=4", "training.log_every=1", "training.gradient_clip=100", "model.dropout=0")
    train_retriever(chosen, folder_data(folder), out, features)


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    folder, port = make_data_folder(tmp_path / "data"), free_port()
    places = (folder, tmp_path / "together", tmp_path / "features")
    other = threading.Thread(target=run_in_child, args=(train_as_one_of_two, (*places, 1, port)))
    other.start()
    assert run_in_child(train_as_one_of_two, (*places, 0, port))
    other.join()
    train_without_dropout(folder, tmp_path / "alone", tmp_path / "features")
    norms = [[row["gradient_norm"] for row in read_metrics(tmp_path / name)] for name in ("together", "alone")]
    assert len(norms[0]) == 4 and norms[0] == pytest.approx(norms[1], rel=2e-3)
    start = trained_state(start_retriever(recipe()).module)
    together, alone = (load_file(tmp_path / name / "retriever" / "model.safetensors") for name in ("together", "alone"))
    for name in ("core.vision_projection.weight", "core.text_projection.weight", "core.prompt_tokens"):
        moved, expected = (together[name] - start[name]).flatten(), (alone[name] - start[name]).flatten()
        assert torch.cosine_similarity(moved, expected, dim=0) > 0.999, name


def test_damaged_images_are_skipped(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    (folder / "images" / "0-red.png").write_bytes(b"")
    (folder / "images" / "1-blue.png").write_text("not an image")
    done = run(folder, tmp_path / "out")
    assert [item.name for item in done.skipped] == ["0-red.png", "1-blue.png"]
    assert done.triplets == 36 - 2 * 6


def test_resuming_with_other_data_is_refused(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    run(folder, tmp_path / "out")
    triplets = (folder / "triplets.jsonl").read_text()
    (folder / "triplets.jsonl").write_text(triplets.replace("make it red", "make it crimson"))
    with raises(ResumeError, "settings-changed", "data was"):
        run(folder, tmp_path / "out")
    (folder / "triplets.jsonl").write_text(triplets)
    Image.new("RGB", (40, 40)).save(folder / "images" / "0-red.png")
    with raises(ResumeError, "settings-changed", "data was"):
        run(folder, tmp_path / "out")


def test_resuming_with_another_recipe_names_what_differs(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    run(folder, tmp_path / "out")
    with pytest.raises(ResumeError) as refused:
        run(folder, tmp_path / "out", "loss.lambda_text=0.5", "seed=1")
    assert "recipe.loss.lambda_text was 0.4, now 0.5" in refused.value.problem
    assert "seed was 0, now 1" in refused.value.problem


def test_missing_reverse_texts_are_refused(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data", reverse=False)
    with raises(InputError, "missing-reverse-texts", "36 of 36"):
        run(folder, tmp_path / "out")
    assert run(folder, tmp_path / "without", "loss.alpha=0").result.steps == 8


def test_a_triplet_with_an_unknown_image_is_refused(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    (folder / "images" / "0-red.png").unlink()
    with raises(InputError, "missing-images", 1, "0-red.png"):
        run(folder, tmp_path / "out")


def test_training_starts_from_the_initial_weights(tmp_path: Path) -> None:
    first = run(make_data_folder(tmp_path / "data"), tmp_path / "out")
    started = start_retriever(recipe(f"initial_weights={tmp_path / 'out'}", "model.kind=one-hop"))
    trained, initial = dict(first.retriever.module.named_parameters()), dict(started.module.named_parameters())
    assert trained.keys() == initial.keys() and all(torch.equal(trained[name], initial[name]) for name in trained)


def test_initial_weights_of_another_preset_are_refused(tmp_path: Path) -> None:
    run(make_data_folder(tmp_path / "data"), tmp_path / "out")
    config = tmp_path / "out" / "retriever" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"preset": "small"}))
    with raises(InputError, None, "small", "tiny"):
        start_retriever(recipe(f"initial_weights={tmp_path / 'out'}"))


class KnownMetrics:
    """An evaluator with a fixed value of "recall" for each evaluation."""

    primary_metric = "recall"

    def __init__(self, values: list[float], greater_is_better: bool = True, identity: str = "val") -> None:
        self.values, self.greater_is_better, self.identity = iter(values), greater_is_better, identity

    def prepare(self, retriever: Retriever) -> list[SkippedImage]:
        return []

    def __call__(self, retriever: Retriever) -> dict[str, float]:
        return {"recall": next(self.values)}


def test_the_best_weights_are_saved_if_the_recipe_has_a_metric(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    done = train_retriever(
        recipe("training.evaluate_every=4", "training.best_metric=recall"),
        folder_data(folder),
        tmp_path / "out",
        tmp_path / "features",
        KnownMetrics([2.0, 1.0]),
    )
    assert (done.result.best_step, done.result.best_value) == (4, 2.0)
    saved = load_file(tmp_path / "out" / "retriever" / "model.safetensors")
    fourth = load_file(tmp_path / "out" / "checkpoints" / "step-00000004" / "model.safetensors")
    assert all(torch.equal(saved[name], fourth[name]) for name in saved)


def test_a_resume_with_other_evaluation_data_is_refused(tmp_path: Path) -> None:
    folder, features = make_data_folder(tmp_path / "data"), tmp_path / "features"

    def watched(measured_on: str, *overrides: str) -> None:
        chosen = recipe("training.evaluate_every=4", *overrides)
        evaluator = KnownMetrics([1.0, 1.0], identity=measured_on)
        train_retriever(chosen, folder_data(folder), tmp_path / measured_on[:3], features, evaluator)

    watched("val 1", "training.best_metric=recall")
    with raises(ResumeError, "settings-changed", "measured_on was val 1, now val 2"):
        watched("val 2", "training.best_metric=recall")
    watched("all 1")
    watched("all 2")  # what no weight depends on may change


def test_a_resume_compares_the_contents_of_a_custom_preset(tmp_path: Path) -> None:
    folder, preset = make_data_folder(tmp_path / "data"), tmp_path / "mine.json"
    written = load_preset("tiny").model_dump(mode="json") | {"name": "mine"}
    preset.write_text(json.dumps(written))
    run(folder, tmp_path / "out", f"preset={preset}")
    run(folder, tmp_path / "out", f"preset={preset}")
    written["query_encoder"]["dropout"] = 0.4
    preset.write_text(json.dumps(written))
    with raises(ResumeError, "settings-changed", "preset_contents.query_encoder.dropout", "now 0.4"):
        run(folder, tmp_path / "out", f"preset={preset}")


def test_epochs_are_passes_over_the_triplets_after_the_captions(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    wanted = ("training.epochs=1", "captions.steps=3", "captions.batch_size=2", "training.batch_size=12")
    data = folder_data(folder)
    assert data.captions and len(data.triplets) == 36
    done = train_retriever(recipe(*wanted), data, tmp_path / "out", tmp_path / "features")
    assert done.result.steps == 3 + 36 // 12


def test_resident_features_train_the_same_weights(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    run(folder, tmp_path / "mapped")
    run(folder, tmp_path / "resident", "data.resident=true")
    mapped, resident = (tmp_path / name / "retriever" / "model.safetensors" for name in ("mapped", "resident"))
    assert mapped.read_bytes() == resident.read_bytes()


@pytest.mark.parametrize("kind", ["ptha", "one-hop", "sprc", "image-only", "text-only", "sum"])
def test_every_kind_trains(tmp_path: Path, kind: str) -> None:
    done = run(make_data_folder(tmp_path / "data"), tmp_path / "out", f"model.kind={kind}", "training.steps=3")
    assert done.result.steps == 3


def test_views_and_mined_hard_negatives_change_the_weights_and_are_compared_at_a_resume(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    varied = ("data.views=3", "data.mined_hard_negatives=2", "data.both_directions=true")
    once = run(folder, tmp_path / "once", *varied)
    resident = run(folder, tmp_path / "resident", *varied, "data.resident=true")
    plain = run(folder, tmp_path / "plain", "data.both_directions=true")
    weights = [each.retriever.module.state_dict() for each in (once, resident, plain)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert any(not torch.equal(value, weights[2][name]) for name, value in weights[0].items())
    with raises(ResumeError, "settings-changed", "views"):
        run(folder, tmp_path / "once", "data.mined_hard_negatives=2", "data.both_directions=true")


def test_the_dropout_of_a_recipe_replaces_that_of_the_preset(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    weights = []
    for name, dropout in (("preset", ()), ("none", ("model.dropout=0",)), ("much", ("model.dropout=0.5",))):
        trained = run(folder, tmp_path / name, *dropout)
        weights.append((tmp_path / name / "retriever" / "model.safetensors").read_bytes())
        assert trained.retriever.config.preset == "tiny"
    # Tiny's own is 0.1.
    assert len(set(weights)) == 3


@pytest.mark.parametrize(
    "setting",
    [
        "data.views=3",
        "data.mined_hard_negatives=2",
        "data.hard_negatives=1",
        "data.both_directions=true",
        "model.pooling=cls",
        "loss.label_smoothing=0",
        "loss.mask_false_negatives=false",
        "captions.steps=2",
    ],
)
def test_each_setting_changes_the_weights(tmp_path: Path, setting: str) -> None:
    folder = make_data_folder(tmp_path / "data")
    rows = [json.loads(line) for line in (folder / "triplets.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["reference"] < row["target"]]  # the other direction is not there yet
    for row in rows:
        family, reference, target = row["reference"][0], row["reference"], row["target"]
        names = (f"{family}-{colour}.png" for colour in ("red", "green", "blue"))
        row["hard_negatives"] = [next(name for name in names if name not in (reference, target))]
    (folder / "triplets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # Without dropout nothing but the setting tells the two apart.
    common = ("model.dropout=0", "captions.batch_size=4", "training.steps=4")
    run(folder, tmp_path / "plain", *common)
    run(folder, tmp_path / "changed", *common, setting)
    plain, changed = (load_file(tmp_path / name / "retriever" / "model.safetensors") for name in ("plain", "changed"))
    assert any(not torch.equal(plain[name], changed[name]) for name in plain)


def test_a_triplet_without_readable_hard_negatives_is_left_out(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    data = folder_data(folder)
    damaged, sound = data.triplets[0].reference, data.triplets[1].target
    (folder / "images" / damaged).write_bytes(b"")
    others = [each for each in data.triplets if damaged not in (each.reference, each.target)]
    negatives = [(damaged,), (damaged, sound), *((sound,) for _ in others[2:])]
    triplets = [replace(each, hard_negatives=names) for each, names in zip(others, negatives, strict=True)]
    wanted = recipe("data.hard_negatives=1", "training.batch_size=4")
    done = train_retriever(wanted, replace(data, triplets=triplets), tmp_path / "out", tmp_path / "features")
    assert done.triplets == len(others) - 1 and [item.name for item in done.skipped] == [damaged]
    # Without hard negatives in the recipe, none is missing.
    unread = recipe("training.batch_size=4")
    again = train_retriever(unread, replace(data, triplets=triplets), tmp_path / "again", tmp_path / "features")
    assert again.triplets == len(others)


def test_a_disk_fault_while_encoding_stops_the_training_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_data_folder(tmp_path / "data")
    undisturbed = run(folder, tmp_path / "undisturbed")
    shutil.rmtree(tmp_path / "features")
    lost, read = folder_data(folder).triplets[0].reference, encoding.read_content

    def failing(path: Path) -> bytes:
        if path.name == lost:
            raise ImageError(f"{path} cannot be read (Input/output error).", "Check the path, and the disk.")
        return read(path)

    monkeypatch.setattr(encoding, "read_content", failing)
    with raises(InputError, None, 1):
        run(folder, tmp_path / "out")
    monkeypatch.undo()
    assert run(folder, tmp_path / "out").triplets == undisturbed.triplets
    ours, theirs = (tmp_path / name / "retriever" / "model.safetensors" for name in ("out", "undisturbed"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_batch_without_negatives_is_refused() -> None:
    with raises(InputError, None, "training.batch_size"):
        recipe("training.batch_size=1")
    assert recipe("training.batch_size=1", "data.hard_negatives=1").training.batch_size == 1


def test_mined_hard_negatives_need_masking() -> None:
    with raises(InputError, None, "data.mined_hard_negatives", "loss.mask_false_negatives"):
        recipe("data.mined_hard_negatives=2", "loss.mask_false_negatives=false")


@pytest.mark.parametrize("kind", ["ptha", "one-hop", "sprc", "image-only", "text-only", "sum"])
def test_a_batch_of_one_triplet_trains_against_its_mined_hard_negatives(tmp_path: Path, kind: str) -> None:
    folder = make_data_folder(tmp_path / "data")
    alone = ("training.batch_size=1", "data.mined_hard_negatives=4", "training.log_every=1", "training.steps=4")
    run(folder, tmp_path / "out", f"model.kind={kind}", "loss.alpha=0", "loss.lambda_text=0", *alone)
    assert all(row["query_loss"] > 0 for row in read_metrics(tmp_path / "out"))


def test_a_metric_that_is_better_when_lower_keeps_the_weights_of_its_minimum(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    chosen = recipe("training.evaluate_every=4", "training.best_metric=recall")
    evaluator = KnownMetrics([20.0, 30.0], greater_is_better=False)
    done = train_retriever(chosen, folder_data(folder), tmp_path / "out", tmp_path / "features", evaluator)
    assert (done.result.best_step, done.result.best_value) == (4, 20.0)


def test_the_evaluator_takes_the_direction_of_its_primary_metric(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    rows = [json.loads(line) for line in (folder / "triplets.jsonl").read_text().splitlines()]
    for row in rows:
        row["hard_negatives"] = [row["reference"]]
    (folder / "triplets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    directions = [RetrievalEvaluator.from_folder(folder, "val", name).greater_is_better for name in METRICS]
    assert directions == [True, True, False]
    with raises(InputError, "unknown-metric", "Recal@1", "Recall@1"):
        RetrievalEvaluator.from_folder(folder, "val", "Recal@1")


METRICS = ("Recall@10", "Mean", "Hard-negative rate")


def test_a_recipe_with_another_metric_than_the_evaluator_is_refused(tmp_path: Path) -> None:
    chosen = recipe("training.evaluate_every=4", "training.best_metric=precision")
    data = folder_data(make_data_folder(tmp_path / "data"))
    with raises(InputError, "metric-conflict", "precision", "recall"):
        train_retriever(chosen, data, tmp_path / "out", tmp_path / "features", KnownMetrics([1.0]))


def test_a_resume_keeps_the_precision_that_auto_was_resolved_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, auto = make_data_folder(tmp_path / "data"), "training.precision=auto"
    monkeypatch.setattr(loop, "resolve_precision", lambda precision, device: "bf16")
    first = run(folder, tmp_path / "out", auto).retriever.identity
    monkeypatch.setattr(loop, "resolve_precision", lambda precision, device: "fp32")
    assert run(folder, tmp_path / "out", auto).retriever.identity == first
    assert json.loads((tmp_path / "out" / "training.json").read_text())["training"]["precision"] == "bf16"
