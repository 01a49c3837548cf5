"""The ablations on random weights: their trainings, each of which runs once even if the process is killed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.ablation_toys import make_folders, save_generator, tiny_settings
from likebut.errors import InputError, LikebutError
from likebut.files import read_json, read_jsonl, write_jsonl
from likebut.research.ablations import runs
from likebut.research.ablations.experiment import Experiment
from likebut.research.ablations.plan import AblationFolders
from likebut.research.ablations.pool import pool_images
from likebut.research.ablations.workers import run_in_parallel


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AblationFolders:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    return make_folders(tmp_path)


class Counter:
    """Counts the started trainings, and simulates a kill before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, killed_before: int | None = None) -> None:
        self.folders: list[str] = []
        train = runs.train_retriever

        def counted(recipe: Any, data: Any, out: Path, *others: Any) -> Any:
            if len(self.folders) + 1 == killed_before:
                raise KeyboardInterrupt
            self.folders.append(out.name)
            return train(recipe, data, out, *others)

        monkeypatch.setattr(runs, "train_retriever", counted)


def test_no_training_runs_twice_after_a_kill(folders: AblationFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny_settings(save_generator(folders.out.parent / "writer"), only=("text-source",), seeds=2)
    with monkeypatch.context() as patch:
        before = Counter(patch, killed_before=4)
        with pytest.raises(KeyboardInterrupt):
            Experiment(folders, settings, str).run()
    [pool] = (folders.out / "texts").glob("pool-*/shard-00000.parquet")
    written_at = pool.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        after = Counter(patch)
        outcome = Experiment(folders, settings, str).run()
        assert not set(before.folders) & set(after.folders)
        assert (len(before.folders), len(after.folders), outcome.done_before, outcome.trainings) == (3, 5, 3, 8)
        again = Experiment(folders, settings, str).run()
        assert len(after.folders) == 5 and again.done_before == 8
    assert again.ablations == outcome.ablations and pool.stat().st_mtime_ns == written_at
    # Only the pretrained models are kept, since other trainings start from them.
    kept = {path.parent.name.split("-")[0] for path in (folders.out / "runs").glob("*/retriever")}
    assert kept == {"generator", "captions"}


def test_a_training_without_a_result_runs_again(folders: AblationFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny_settings("nobody", only=("data-efficiency",), controls=False)
    settings = settings.model_copy(update={"generator": str(save_generator(folders.out.parent / "writer"))})
    outcome = Experiment(folders, settings, str).run()
    [first, *_] = sorted((folders.out / "runs").glob("human-*/result.json"))
    metrics = read_json(first)["metrics"]
    first.unlink()
    counter = Counter(monkeypatch)
    assert Experiment(folders, settings, str).run().ablations == outcome.ablations
    assert counter.folders == [first.parent.name] and read_json(first)["metrics"] == metrics


def test_equal_trainings_are_shared_between_ablations_and_other_settings_are_not(
    folders: AblationFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = save_generator(folders.out.parent / "writer")
    counter = Counter(monkeypatch)
    Experiment(folders, tiny_settings(writer, only=("alpha",)), str).run()
    assert len(counter.folders) == 3  # one pretraining, two α
    Experiment(folders, tiny_settings(writer, only=("zero-shot",), sizes=(1.0, 2.0)), str).run()
    assert len(counter.folders) == 4  # the one with one pool exists
    Experiment(folders, tiny_settings(writer, only=("alpha",), fine_tuning_steps=3), str).run()
    assert len(counter.folders) == 6
    rows = [row for _, row in read_jsonl(folders.data.path / "triplets.jsonl")]
    changed = [{**row, "modification": "paint it"} if row["split"] == "val" else row for row in rows]
    write_jsonl(folders.data.path / "triplets.jsonl", changed)
    Experiment(folders, tiny_settings(writer, only=("alpha",)), str).run()
    assert len(counter.folders) == 9  # other queries, other metrics


def test_the_pool_contains_only_training_pairs_without_annotation(folders: AblationFolders) -> None:
    settings = tiny_settings(save_generator(folders.out.parent / "writer"), only=("zero-shot",))
    outcome = Experiment(folders, settings, str).run()
    images = {image.name for image in pool_images(folders, settings)}
    assert len(images) == 12 and not any(name.startswith("3-") for name in images)
    from likebut.synthesis.pair_file import read_pairs

    [file] = (folders.out / "texts").glob("pool-*/pairs.parquet")
    pairs = read_pairs(file)
    assert len(pairs) == 8  # 2 × a pool of 4
    assert all(pair.reference[0] != pair.target[0] for pair in pairs)  # within a family all pairs are annotated
    [zero_shot] = outcome.ablations
    small, large = zero_shot.rows
    assert (small.human, small.steps) == (0, 3) and 0 < small.synthetic < large.synthetic <= 16


@pytest.mark.parametrize(
    ("changes", "code", "value"),
    [
        ({"pool": 400}, "too-few-pairs", "800"),
        ({"batch_size": 40}, "too-few-triplets", "40"),
        ({"split": "test"}, None, '"test"'),
    ],
)
def test_insufficient_data_is_an_error(
    folders: AblationFolders, changes: dict[str, object], code: str | None, value: str
) -> None:
    settings = tiny_settings(save_generator(folders.out.parent / "writer"), only=("data-efficiency",), **changes)
    with pytest.raises(InputError) as error:
        Experiment(folders, settings, str).run()
    assert code is None or error.value.code == code
    assert value in error.value.problem


def test_missing_captions_are_an_error(folders: AblationFolders) -> None:
    (folders.data.path / "captions.jsonl").unlink()
    settings = tiny_settings(save_generator(folders.out.parent / "writer"), only=("text-source",))
    with pytest.raises(InputError) as error:
        Experiment(folders, settings, str).run()
    assert error.value.code == "missing-captions"


def test_parallel_trainings_give_the_results_of_sequential_ones(folders: AblationFolders) -> None:
    settings = tiny_settings(save_generator(folders.out.parent / "writer"), only=("zero-shot", "alpha"), seeds=1)
    sequential = Experiment(folders, settings, str).run()
    parallel = Experiment(replace(folders, out=folders.out.parent / "parallel"), settings, str).run(jobs=2)
    assert parallel.ablations == sequential.ablations


def test_a_failed_process_prints_its_error_without_a_traceback(
    folders: AblationFolders, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = tiny_settings(tmp_path / "nowhere", only=("zero-shot",), seeds=1)
    with pytest.raises(LikebutError) as error:
        run_in_parallel(folders, settings, 2)
    assert error.value.code == "worker-failed"
    assert "2 of 2" in str(error.value)
    printed = capfd.readouterr().err
    assert printed.count("likebut: ") == 2 and "Traceback" not in printed


def test_every_recipe_and_its_initial_weights_follow_the_plan(
    folders: AblationFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes: dict[Path, Any] = {}
    train = runs.train_retriever

    def recorded(recipe: Any, data: Any, out: Path, *others: Any) -> Any:
        recipes[out] = recipe
        return train(recipe, data, out, *others)

    monkeypatch.setattr(runs, "train_retriever", recorded)
    Experiment(
        folders, tiny_settings(save_generator(folders.out.parent / "writer"), only=("hops-and-losses",)), str
    ).run()
    assert len(recipes) == 2 + 5  # a pretraining for each kind of retriever
    for folder, recipe in recipes.items():
        planned = read_json(folder / "result.json")["training"]
        chosen = {"kind": recipe.model.kind, "alpha": recipe.loss.alpha, "lambda_text": recipe.loss.lambda_text}
        chosen |= {"seed": recipe.seed, "steps": recipe.training.steps, "learning_rate": recipe.training.learning_rate}
        assert chosen == {name: planned[name] for name in chosen}
        start = recipe.initial_weights
        assert planned["start"] == (start and read_json(Path(start) / "result.json")["training"])
