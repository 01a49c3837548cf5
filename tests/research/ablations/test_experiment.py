"""The ablations on random parts: what is trained, that nothing is trained twice, and that a kill loses nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.ablation_toys import make_place, save_generator, tiny_settings
from likebut.errors import InputError, LikebutError
from likebut.files import read_json, read_jsonl, write_jsonl
from likebut.research.ablations import runs
from likebut.research.ablations.experiment import Experiment
from likebut.research.ablations.plan import Place
from likebut.research.ablations.pool import pool_images
from likebut.research.child_processes import do_side_by_side


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    return make_place(tmp_path)


class Counter:
    """Counts the trainings that are begun, and stands for a kill before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, killed_before: int | None = None) -> None:
        self.folders: list[str] = []
        train = runs.train_retriever

        def counted(recipe: Any, data: Any, out: Path, *others: Any) -> Any:
            if len(self.folders) + 1 == killed_before:
                raise KeyboardInterrupt
            self.folders.append(out.name)
            return train(recipe, data, out, *others)

        monkeypatch.setattr(runs, "train_retriever", counted)


def test_killed_between_trainings_none_is_done_twice(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny_settings(save_generator(place.out.parent / "writer"), only=("text-source",), seeds=2)
    with monkeypatch.context() as patch:
        before = Counter(patch, killed_before=4)
        with pytest.raises(KeyboardInterrupt):
            Experiment(place, settings, str).run()
    [pool] = (place.out / "texts").glob("pool-*/shard-00000.parquet")
    written_at = pool.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        after = Counter(patch)
        outcome = Experiment(place, settings, str).run()
        assert not set(before.folders) & set(after.folders)
        assert (len(before.folders), len(after.folders), outcome.done_before, outcome.trainings) == (3, 5, 3, 8)
        again = Experiment(place, settings, str).run()
        assert len(after.folders) == 5 and again.done_before == 8
    assert again.ablations == outcome.ablations and pool.stat().st_mtime_ns == written_at
    # A fine-tuned model is of no use once it is measured; a pretrained one is started from.
    kept = {path.parent.name.split("-")[0] for path in (place.out / "runs").glob("*/retriever")}
    assert kept == {"generator", "captions"}


def test_an_unfinished_training_does_not_count(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny_settings("nobody", only=("data-efficiency",), controls=False)
    settings = settings.model_copy(update={"generator": str(save_generator(place.out.parent / "writer"))})
    outcome = Experiment(place, settings, str).run()
    [first, *_] = sorted((place.out / "runs").glob("human-*/result.json"))
    metrics = read_json(first)["metrics"]
    first.unlink()
    counter = Counter(monkeypatch)
    assert Experiment(place, settings, str).run().ablations == outcome.ablations
    assert counter.folders == [first.parent.name] and read_json(first)["metrics"] == metrics


def test_other_settings_are_other_trainings_and_those_that_coincide_are_shared(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = save_generator(place.out.parent / "writer")
    counter = Counter(monkeypatch)
    Experiment(place, tiny_settings(writer, only=("alpha",)), str).run()
    assert len(counter.folders) == 3  # one pretraining, two α
    Experiment(place, tiny_settings(writer, only=("zero-shot",), sizes=(1.0, 2.0)), str).run()
    assert len(counter.folders) == 4  # that of one pool is there
    Experiment(place, tiny_settings(writer, only=("alpha",), fine_tuning_steps=3), str).run()
    assert len(counter.folders) == 6
    rows = [row for _, row in read_jsonl(place.data.path / "triplets.jsonl")]
    changed = [{**row, "modification": "paint it"} if row["split"] == "val" else row for row in rows]
    write_jsonl(place.data.path / "triplets.jsonl", changed)
    Experiment(place, tiny_settings(writer, only=("alpha",)), str).run()
    assert len(counter.folders) == 9  # other queries, other figures


def test_the_pool_is_of_undescribed_training_pairs(place: Place) -> None:
    settings = tiny_settings(save_generator(place.out.parent / "writer"), only=("zero-shot",))
    outcome = Experiment(place, settings, str).run()
    images = {image.name for image in pool_images(place, settings)}
    assert len(images) == 12 and not any(name.startswith("3-") for name in images)
    from likebut.synthesis.pair_file import read_pairs

    [file] = (place.out / "texts").glob("pool-*/pairs.parquet")
    pairs = read_pairs(file)
    assert len(pairs) == 8  # 2 × a pool of 4
    assert all(pair.reference[0] != pair.target[0] for pair in pairs)  # within a family all pairs are described
    [zero_shot] = outcome.ablations
    small, large = zero_shot.rows
    assert (small.human, small.steps) == (0, 3) and 0 < small.synthetic < large.synthetic <= 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool": 400}, "800 are wanted"),
        ({"batch_size": 40}, "fewer than a batch of 40"),
        ({"split": "test"}, 'no triplets of the split "test"'),
    ],
)
def test_what_the_data_cannot_give(place: Place, changes: dict[str, object], message: str) -> None:
    settings = tiny_settings(save_generator(place.out.parent / "writer"), only=("data-efficiency",), **changes)
    with pytest.raises(InputError, match=message):
        Experiment(place, settings, str).run()


def test_no_captions(place: Place) -> None:
    (place.data.path / "captions.jsonl").unlink()
    settings = tiny_settings(save_generator(place.out.parent / "writer"), only=("text-source",))
    with pytest.raises(InputError, match="leave that ablation out with --only"):
        Experiment(place, settings, str).run()


def test_side_by_side_gives_what_one_after_the_other_gives(place: Place) -> None:
    settings = tiny_settings(save_generator(place.out.parent / "writer"), only=("zero-shot", "alpha"), seeds=1)
    alone = Experiment(place, settings, str).run()
    together = Experiment(replace(place, out=place.out.parent / "together"), settings, str).run(jobs=2)
    assert together.ablations == alone.ablations


def test_a_process_that_fails_is_told_in_a_sentence(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = tiny_settings(tmp_path / "nowhere", only=("zero-shot",), seeds=1)
    with pytest.raises(LikebutError, match="2 of 2 processes failed"):
        do_side_by_side(place, settings, 2)
    said = capfd.readouterr().err
    assert said.count("likebut: ") == 2 and "Traceback" not in said


def test_every_training_is_the_planned_one_and_starts_from_the_planned_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes: dict[Path, Any] = {}
    train = runs.train_retriever

    def watched(recipe: Any, data: Any, out: Path, *others: Any) -> Any:
        recipes[out] = recipe
        return train(recipe, data, out, *others)

    monkeypatch.setattr(runs, "train_retriever", watched)
    Experiment(place, tiny_settings(save_generator(place.out.parent / "writer"), only=("hops-and-losses",)), str).run()
    assert len(recipes) == 2 + 5  # a pretraining for each kind of retriever
    for folder, recipe in recipes.items():
        planned = read_json(folder / "result.json")["training"]
        chosen = {"kind": recipe.model.kind, "alpha": recipe.loss.alpha, "lambda_text": recipe.loss.lambda_text}
        chosen |= {"seed": recipe.seed, "steps": recipe.training.steps, "learning_rate": recipe.training.learning_rate}
        assert chosen == {name: planned[name] for name in chosen}
        start = recipe.initial_weights
        assert planned["start"] == (start and read_json(Path(start) / "result.json")["training"])
