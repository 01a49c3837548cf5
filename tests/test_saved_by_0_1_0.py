"""What version 0.1.0 saved still opens: models, galleries, shards and recipes."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.paths import FIXTURES
from likebut import Gallery, ModificationGenerator, Retriever
from likebut.data.synthetic_triplets import read_synthetic
from likebut.models.model_folder import trained_state
from likebut.recipes.loading import load_recipe
from likebut.recipes.schema import RetrieverRecipe

SAVED = FIXTURES / "version-0.1.0"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A writable copy: opening a gallery creates lock files."""
    return Path(shutil.copytree(SAVED, tmp_path / "saved"))


def test_a_retriever_has_the_weights_that_were_saved() -> None:
    retriever = Retriever.from_pretrained(SAVED / "retriever")
    stored = load_file(SAVED / "retriever" / "model.safetensors")
    loaded = trained_state(retriever.module)
    assert loaded.keys() == stored.keys() and all(torch.equal(loaded[name], stored[name]) for name in stored)


def test_a_generator_has_its_image_type_embeddings_and_default_decoding() -> None:
    generator = ModificationGenerator.from_pretrained(SAVED / "generator")
    stored = load_file(SAVED / "generator" / "model.safetensors")
    embeddings = generator.model.image_type_embeddings
    assert embeddings is not None and torch.equal(embeddings.detach(), stored["image_marks"])
    assert generator.config.image_type_embeddings and generator.config.default_decoding == "greedy"


def test_a_saved_generator_uses_the_current_names(tmp_path: Path) -> None:
    ModificationGenerator.from_pretrained(SAVED / "generator").save(tmp_path / "again")
    config = (tmp_path / "again" / "config.json").read_text(encoding="utf-8")
    assert "image_type_embeddings" in config and "image_marks" not in config and "writes_by" not in config
    assert "image_type_embeddings" in load_file(tmp_path / "again" / "model.safetensors")


def test_a_gallery_opens_with_its_retriever_and_finds_a_stored_image(saved: Path) -> None:
    gallery = Gallery.open(saved / "gallery", Retriever.from_pretrained(saved / "retriever"), create=False)
    assert len(gallery) == 16
    result = gallery.search(text="make it blue", k=20)
    assert {Path(hit.path).parent for hit in result} == {Path("/collection/data/images")}


def test_shards_give_the_triplets_that_were_kept() -> None:
    triplets = read_synthetic(SAVED / "shards", both_directions=True)
    assert len(triplets) == 80 and all(triplet.modification and triplet.reverse_modification for triplet in triplets)
    assert "1-red.png" not in {name for triplet in triplets for name in (triplet.reference, triplet.target)}


def test_a_recipe_is_read_under_the_former_setting_names() -> None:
    recipe = load_recipe(str(SAVED / "recipe.yaml"))
    assert isinstance(recipe, RetrieverRecipe) and recipe.data.mined_hard_negatives == 2
    for key in ("look_alikes", "mined_hard_negatives"):
        assert load_recipe(str(SAVED / "recipe.yaml"), [f"data.{key}=3"]).data.mined_hard_negatives == 3
