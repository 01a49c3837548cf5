from pathlib import Path

import pytest

from helpers.errors import raises
from likebut.errors import InputError
from likebut.recipes.loading import copy_recipe, list_recipes, load_recipe, recipe_files
from likebut.recipes.schema import GeneratorRecipe, RetrieverRecipe


@pytest.mark.parametrize("name", recipe_files())
def test_every_shipped_recipe_is_valid_and_described(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.description


def test_the_listing_names_jobs() -> None:
    jobs = {item.name: item.job for item in list_recipes()}
    assert jobs["retriever-small"] == "train-retriever" and jobs["generator-small"] == "train-generator"


@pytest.mark.parametrize(
    ("name", "epochs", "rate", "alpha", "text"),
    [
        ("cirr-paper-pretrain", 10, 1e-5, 0.0, 0.0),
        ("cirr-paper", 50, 5e-6, 0.4, 0.4),
        ("fashioniq-paper-pretrain", 30, 2e-5, 0.0, 0.0),
        ("fashioniq-paper", 30, 1e-5, 1.0, 1.0),
        ("circo-zero-shot", 10, 1e-5, 0.0, 0.0),
        ("cirr-sprc", 50, 1e-5, 0.4, 0.4),
    ],
)
def test_published_values(name: str, epochs: int, rate: float, alpha: float, text: float) -> None:
    recipe = load_recipe(name)
    assert isinstance(recipe, RetrieverRecipe)
    training = recipe.training
    assert (training.epochs, training.learning_rate, training.batch_size) == (epochs, rate, 128)
    assert (recipe.loss.alpha, recipe.loss.lambda_text) == (alpha, text)
    assert (training.betas, training.weight_decay, training.schedule) == ((0.9, 0.98), 0.05, "one-cycle")
    assert recipe.preset == "paper"


def test_every_published_value_says_where_it_comes_from() -> None:
    for name, path in recipe_files().items():
        if load_recipe(name).preset == "paper":
            training = path.read_text().split("training:\n")[1]
            for line in training.splitlines():
                key = line.strip().split(":")[0]
                own = ("log_every", "checkpoint_every", "keep_checkpoints", "#", "")
                assert "#" in line or key in own, f"{name}: {line}"


def test_only_ptha_with_a_prototype_loss_needs_reverse_texts() -> None:
    assert load_recipe("cirr-paper").needs_reverse_texts
    assert not load_recipe("cirr-paper-pretrain").needs_reverse_texts
    assert not load_recipe("cirr-sprc").needs_reverse_texts


def test_a_single_value_is_changed_with_its_type() -> None:
    recipe = load_recipe(
        "retriever-small", ["training.batch_size=8", "training.learning_rate=1e-5", "training.betas=[0.8, 0.9]"]
    )
    assert (recipe.training.batch_size, recipe.training.learning_rate) == (8, 1e-5)
    assert recipe.training.betas == (0.8, 0.9)
    assert recipe.training.steps == load_recipe("retriever-small").training.steps


def test_setting_epochs_replaces_steps() -> None:
    training = load_recipe("retriever-small", ["training.epochs=3"]).training
    assert (training.steps, training.epochs) == (None, 3)


def test_a_section_that_the_file_lacks_can_be_set() -> None:
    recipe = load_recipe("generator-small", ["data.root=/pictures", "seed=7"])
    assert isinstance(recipe, GeneratorRecipe) and recipe.data.root == Path("/pictures") and recipe.seed == 7


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.batchsize=8", 'Did you mean "training.batch_size"?'),
        ("lr=8", '"lr"'),
        ("training.batch_size", '"="'),
        ("training.batch_size=0", '"training.batch_size" is 0, but input should be greater than 0'),
        ("training.batch_size=many", "\"training.batch_size\" is 'many'"),
        ("model.kind=pthb", "\"model.kind\" is 'pthb'"),
        ("training.betas=[0.9", "is not a value"),
        ("training.precision=fp8", "'auto', 'fp32' or 'bf16'"),
        ("seed=2026-13-45", "is not a value"),
        ("training.betas=[0.9, 1.0]", "should be less than 1"),
        ("training.best_metric=Mean", "best_metric needs evaluate_every"),
    ],
)
def test_invalid_overrides_are_refused(override: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        load_recipe("retriever-small", [override])
    assert message in str(refused.value) and "\n" not in str(refused.value)


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("job: train-retriever\ntraining: {batch_size: 4, steps: 2, learning_rate: 1}\nlos: {alpha: 1}", "los"),
        ("job: train-retriever", 'lacks the key "training"'),
        ("job: [train-retriever]", "\"job\" is ['train-retriever']"),
        ("seed: 2026-13-45", "is not valid YAML"),
        ("job: train-retrieverr", "\"job\" is 'train-retrieverr'"),
        ("training: {}", '"job" is None'),
        ("job: [", "line 1 is not valid YAML"),
        ("just words", "no settings"),
        ("", "no settings"),
        (
            "job: train-retriever\ntraining: {batch_size: 4, steps: 2, epochs: 2, learning_rate: 1}",
            'in "training", give either steps or epochs',
        ),
    ],
)
def test_invalid_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        load_recipe(written(tmp_path, text))
    assert message in str(refused.value) and "mine.yaml" in str(refused.value)
    assert refused.value.remedy


def test_an_unknown_recipe_suggests_the_closest_name() -> None:
    with raises(InputError, "unknown-recipe", "cirr-papr", "cirr-paper"):
        load_recipe("cirr-papr")


def test_a_copy_is_the_same_recipe_and_overwrites_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "mine.yaml"
    copy_recipe("cirr-paper", copy)
    assert "# published command line" in copy.read_text(encoding="utf-8")
    assert load_recipe(str(copy)) == load_recipe("cirr-paper")
    with raises(InputError, "file-exists"):
        copy_recipe("cirr-paper", copy)
