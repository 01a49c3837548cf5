from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.errors import raises
from helpers.training_toys import folder_data, make_data_folder
from likebut import Retriever, training
from likebut.errors import InputError
from likebut.recipes.loading import load_recipe
from likebut.recipes.schema import LossSettings, RetrieverRecipe, TrainingSettings
from likebut.training.datasets import load_dataset
from likebut.training.evaluation import RetrievalEvaluator
from likebut.training.train_retriever import RetrieverTrainer, train_retriever

ARGS = TrainingSettings(batch_size=4, steps=4, learning_rate=1e-3, precision="fp32")


def trainer(folder: Path, args: TrainingSettings = ARGS, **options: object) -> RetrieverTrainer:
    data = load_dataset(folder)
    output, features = folder.parent / "python", folder.parent / "features"
    return RetrieverTrainer(
        Retriever.from_preset("tiny", device="cpu"), args, data, output, features=features, **options
    )


def test_python_and_the_recipe_train_the_same_weights(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    trained = trainer(folder, loss=LossSettings(alpha=0.4, lambda_text=0.0)).train()
    settings = ["training.steps=4", "loss.alpha=0.4", "loss.lambda_text=0"]
    recipe = load_recipe("tiny-retriever", settings)
    assert isinstance(recipe, RetrieverRecipe)
    train_retriever(recipe, folder_data(folder), tmp_path / "recipe", tmp_path / "features")
    ours, theirs = (load_file(tmp_path / name / "retriever" / "model.safetensors") for name in ("python", "recipe"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert trained.retriever.config.text_only_loss is False
    assert trained.folder == tmp_path / "python" / "retriever"


def test_the_settings_of_the_dataset_are_those_of_the_training(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    data = load_dataset(folder, mined_hard_negatives=3, views=2)
    made = RetrieverTrainer(Retriever.from_preset("tiny", device="cpu"), ARGS, data, tmp_path / "out")
    assert (made.recipe.data.mined_hard_negatives, made.recipe.data.views) == (3, 2)
    with raises(InputError, None, "mined_hard_negative", "mined_hard_negatives"):
        load_dataset(folder, mined_hard_negative=3)


def test_the_primary_metric_of_the_evaluator_selects_the_weights(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    evaluator = RetrievalEvaluator.from_folder(folder, "val", "Recall@1", tmp_path / "features")
    args = ARGS.model_copy(update={"evaluate_every": 2})
    done = trainer(folder, args, evaluator=evaluator).train()
    assert done.result.best_value == evaluator(done.retriever)["Recall@1"]


def test_settings_without_effect_are_refused(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    with raises(InputError, "unused-evaluator"):
        trainer(folder, evaluator=RetrievalEvaluator.from_folder(folder))
    with raises(InputError, "unused-evaluator"):
        trainer(folder, ARGS.model_copy(update={"evaluate_every": 2}))
    with raises(InputError, None, "batch_size"):
        trainer(folder, ARGS.model_copy(update={"batch_size": 1}))


@pytest.mark.parametrize("name", training.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(training, name) is not None
