import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.errors import raises
from helpers.training_toys import folder_data, make_data_folder, run_in_child, tree_hash
from likebut.errors import InputError, ResumeError
from likebut.generator.generator import ModificationGenerator
from likebut.recipes.loading import load_recipe
from likebut.recipes.schema import GeneratorRecipe
from likebut.training.metrics_log import read_metrics
from likebut.training.train_generator import GeneratorRun, start_generator, train_generator


def recipe(*overrides: str) -> GeneratorRecipe:
    chosen = load_recipe("tiny-generator", ["captions.steps=3", "captions.batch_size=4", *overrides])
    assert isinstance(chosen, GeneratorRecipe)
    return chosen


def run(folder: Path, out: Path, *overrides: str) -> GeneratorRun:
    return train_generator(recipe(*overrides), folder_data(folder), out, out.parent / "features")


def test_the_output_is_a_model_folder_and_the_language_model_is_frozen(tmp_path: Path) -> None:
    fresh = start_generator(recipe())
    before = dict(fresh.model.language.model.named_parameters())
    data = folder_data(make_data_folder(tmp_path / "data"))
    done = train_generator(recipe(), data, tmp_path / "out", tmp_path / "features")
    assert done.result.steps == 8
    after = dict(done.generator.model.language.model.named_parameters())
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    loaded = ModificationGenerator.from_pretrained(tmp_path / "out")
    assert torch.equal(loaded.model.projection.weight, done.generator.model.projection.weight)
    assert not torch.equal(loaded.model.projection.weight, start_generator(recipe()).model.projection.weight)


def train_in_child(folder: Path, out: Path) -> None:
    run(folder, out, "training.steps=30", "training.checkpoint_every=3")


@pytest.mark.slow
def test_killed_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    train_in_child(folder, tmp_path / "undisturbed")
    for moment in (0.2, 0.35):
        run_in_child(train_in_child, (folder, tmp_path / "killed"), kill_after=moment)
    assert run_in_child(train_in_child, (folder, tmp_path / "killed"))
    assert tree_hash(tmp_path / "killed" / "generator", "*") == tree_hash(tmp_path / "undisturbed" / "generator", "*")


def test_missing_captions_are_refused(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    (folder / "captions.jsonl").unlink()
    with raises(InputError, "missing-captions", 3):
        run(folder, tmp_path / "out")
    assert run(folder, tmp_path / "without", "captions.steps=0").result.steps == 8


def test_evaluation_during_training_is_refused() -> None:
    with raises(InputError, None, "evaluate_every"):
        recipe("training.evaluate_every=4")


def test_captions_must_leave_steps_for_pairs() -> None:
    with raises(InputError, None, "captions.steps", "training.steps"):
        recipe("captions.steps=8")


def test_resuming_with_other_captions_is_refused(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    run(folder, tmp_path / "out")
    captions = folder / "captions.jsonl"
    captions.write_text(captions.read_text().replace("a red square", "a crimson square"))
    with raises(ResumeError, "settings-changed", "data was"):
        run(folder, tmp_path / "out")


def test_the_query_encoder_starts_from_a_retriever(tmp_path: Path) -> None:
    from likebut.training.train_retriever import train_retriever

    folder = make_data_folder(tmp_path / "data")
    train_retriever(load_recipe("tiny-retriever"), folder_data(folder), tmp_path / "retriever", tmp_path / "features")
    started = start_generator(recipe(f"initial_retriever={tmp_path / 'retriever'}"))
    saved = load_file(tmp_path / "retriever" / "retriever" / "model.safetensors")
    for name, value in started.model.query_encoder.named_parameters():
        assert f"core.query_encoder.{name}" not in saved or torch.equal(saved[f"core.query_encoder.{name}"], value)
    assert not torch.equal(
        started.model.query_encoder.query_tokens, start_generator(recipe()).model.query_encoder.query_tokens
    )


def test_two_initial_models_are_refused() -> None:
    with raises(InputError, None, "initial_weights", "initial_retriever"):
        recipe("initial_weights=a", "initial_retriever=b")


def test_the_words_stage_has_its_own_dropout(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    words = ("words.steps=2", "words.batch_size=4", "words.images=4", "captions.steps=0", "training.steps=4")
    plain = run(folder, tmp_path / "plain", *words, "words.dropout=0")
    noisy = run(folder, tmp_path / "noisy", *words, "words.dropout=0.5")
    own = noisy.generator.model.query_encoder.config.dropout
    # What the later steps left there.
    layers = [each for each in noisy.generator.model.query_encoder.modules() if isinstance(each, torch.nn.Dropout)]
    assert {layer.p for layer in layers} == {own} and own != 0.5
    assert not torch.equal(plain.generator.model.projection.weight, noisy.generator.model.projection.weight)
    assert ["word_loss" in row for row in read_metrics(tmp_path / "noisy")] == [True, False]  # every second step


def test_the_default_decoding_is_saved_and_can_be_changed_without_training(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    first = run(folder, tmp_path / "out")
    assert first.generator.config.decoding().method == "beam"
    again = run(folder, tmp_path / "out", "default_decoding=consensus")
    assert ModificationGenerator.from_pretrained(tmp_path / "out").config.decoding().method == "consensus"
    assert torch.equal(first.generator.model.projection.weight, again.generator.model.projection.weight)


@pytest.mark.parametrize("setting", ["data.views=3", "image_type_embeddings=true"])
def test_each_setting_changes_the_weights(tmp_path: Path, setting: str) -> None:
    folder = make_data_folder(tmp_path / "data")
    plain, changed = run(folder, tmp_path / "plain"), run(folder, tmp_path / "changed", setting)
    weights = [each.generator.model.projection.weight for each in (plain, changed)]
    assert not torch.equal(*weights)


def test_training_starts_from_the_initial_weights(tmp_path: Path) -> None:
    first = run(make_data_folder(tmp_path / "data"), tmp_path / "out")
    started = start_generator(recipe(f"initial_weights={tmp_path / 'out'}"))
    trained, initial = dict(first.generator.model.named_parameters()), dict(started.model.named_parameters())
    assert trained.keys() == initial.keys() and all(torch.equal(trained[name], initial[name]) for name in trained)


def test_options_of_the_initial_weights_are_kept_unless_the_recipe_sets_them(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    made = ("image_type_embeddings=true", "default_decoding=consensus", "instruction=Say what is new.")
    run(folder, tmp_path / "first", *made)
    init = f"initial_weights={tmp_path / 'first'}"
    config = run(folder, tmp_path / "second", init).generator.config
    assert (config.image_type_embeddings, config.default_decoding, config.instruction) == (
        True,
        "consensus",
        "Say what is new.",
    )
    assert ModificationGenerator.from_pretrained(tmp_path / "second").config.default_decoding == "consensus"
    changed = start_generator(recipe(init, "default_decoding=greedy", "instruction=What differs?")).config
    assert (changed.image_type_embeddings, changed.default_decoding, changed.instruction) == (
        True,
        "greedy",
        "What differs?",
    )
    with raises(InputError, "other-image-type-embeddings", "image_type_embeddings: false"):
        start_generator(recipe(init, "image_type_embeddings=false"))


def test_the_defaults_are_those_of_the_paper() -> None:
    config = start_generator(recipe()).config
    assert (config.image_type_embeddings, config.default_decoding) == (False, "beam")


def test_a_resume_compares_the_instruction_of_the_initial_weights(tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    run(folder, tmp_path / "first")
    init = f"initial_weights={tmp_path / 'first'}"
    run(folder, tmp_path / "second", init)
    config = tmp_path / "first" / "generator" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"instruction": "Say what is new."}))
    with raises(ResumeError, "settings-changed", "generator.instruction", "now Say what is new"):
        run(folder, tmp_path / "second", init)


@pytest.mark.parametrize(
    "setting", ["data.hard_negatives=1", "data.mined_hard_negatives=4", "data.evaluation_split=test"]
)
def test_a_setting_without_effect_on_a_generator_is_refused(setting: str) -> None:
    with raises(InputError, None, setting.partition("=")[0]):
        recipe(setting)
