import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.colour_retriever import colour_retriever
from helpers.command import Command
from helpers.official import write_circo, write_cirr, write_fashioniq
from likebut.data.triplets import ImageRef, Query, Triplet
from likebut.errors import InputError
from likebut.evaluation.benchmarks.fashioniq import training_text
from likebut.evaluation.benchmarks.loading import load_benchmark
from likebut.evaluation.embedding import OnDemandTokens, RetrieverAdapter
from likebut.evaluation.evaluator import CIREvaluator
from likebut.evaluation.query_templates import (
    FASHIONIQ_TRAINING,
    QUERY_TEMPLATES,
    applicable_templates,
    find_query_template,
)
from likebut.retriever.retriever import Retriever

CIRCO = {"relative_caption": "is red", "shared_concept": "shows a cup"}
FASHIONIQ = {"first_caption": "is red", "second_caption": "has long sleeves"}


@pytest.mark.parametrize(
    ("name", "fields", "texts"),
    [
        ("modification", {"modification": "is red"}, ("is red",)),
        ("relative-caption", CIRCO, ("is red",)),
        ("shared-concept", CIRCO, ("Find a picture that also shows a cup, but is red.",)),
        ("captions-and", FASHIONIQ, ("is red and has long sleeves",)),
        ("captions-and-reversed", FASHIONIQ, ("has long sleeves and is red",)),
        ("captions-and-both-orders", FASHIONIQ, ("is red and has long sleeves", "has long sleeves and is red")),
        ("captions-comma-and", FASHIONIQ, ("is red, and has long sleeves",)),
        ("captions-comma-and-reversed", FASHIONIQ, ("has long sleeves, and is red",)),
        ("captions-comma-and-both-orders", FASHIONIQ, ("is red, and has long sleeves", "has long sleeves, and is red")),
        ("first-caption", FASHIONIQ, ("is red",)),
        ("second-caption", FASHIONIQ, ("has long sleeves",)),
    ],
)
def test_each_template(name: str, fields: dict[str, str], texts: tuple[str, ...]) -> None:
    template = find_query_template(name)
    assert template.fill(fields) == texts
    assert template in applicable_templates(fields)


def test_every_template_is_tested_and_named_by_its_key() -> None:
    tested = test_each_template.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert [case[0] for case in tested] == list(QUERY_TEMPLATES) == [each.name for each in QUERY_TEMPLATES.values()]


def test_braces_in_a_caption_are_text() -> None:
    assert find_query_template("relative-caption").fill({"relative_caption": "{shared_concept} {0}"}) == (
        "{shared_concept} {0}",
    )


def test_unknown_templates_and_missing_fields_are_named() -> None:
    with pytest.raises(InputError) as unknown:
        find_query_template("shared-concepts")
    assert unknown.value.code == "unknown-choice" and '"shared-concept"' in str(unknown.value)
    with pytest.raises(InputError) as missing:
        find_query_template("shared-concept").fill(FASHIONIQ | {"modification": "x"}, "query 7")
    assert missing.value.code == "template-field-missing"
    assert '"relative_caption"' in str(missing.value) or '"shared_concept"' in str(missing.value)
    assert "query 7" in str(missing.value) and "captions-and" in str(missing.value)


def test_benchmarks_are_loaded_with_a_template(tmp_path: Path) -> None:
    [default] = load_benchmark("circo", write_circo(tmp_path / "circo"), "val")
    [shared] = load_benchmark("circo", tmp_path / "circo", "val", query_template="shared-concept")
    assert (default.query_template, shared.query_template) == ("relative-caption", "shared-concept")
    assert default.queries[0].modification == "shows something red instead"
    assert shared.queries[0].modification == "Find a picture that also a shape, but shows something red instead."
    assert [query.targets for query in shared.queries] == [query.targets for query in default.queries]
    [test_split] = load_benchmark("circo", tmp_path / "circo", "test", query_template="shared-concept")
    assert test_split.queries[0].modification.startswith("Find a picture that also a shape")
    both = load_benchmark(
        "fashioniq", write_fashioniq(tmp_path / "iq"), "val", query_template="captions-and-both-orders"
    )
    plain = load_benchmark("fashioniq", tmp_path / "iq", "val")
    assert plain[0].query_template == "captions-and"
    for query, usual in zip(both[1].queries, plain[1].queries, strict=True):
        first, second = usual.modification.split(" and ")
        assert query.modifications == (usual.modification, f"{second} and {first}")
    with pytest.raises(InputError) as error:
        load_benchmark("cirr", write_cirr(tmp_path / "cirr", splits=["val"]), "val", query_template="captions-and")
    assert error.value.code == "template-field-missing" and "modification" in str(error.value)


def test_training_samples_from_the_same_registry() -> None:
    triplet = Triplet("r", "t", "", meta={"captions": ["is red. ", " has long sleeves,"]})
    seen = {training_text(triplet, np.random.default_rng(seed)) for seed in range(50)}
    assert seen == {QUERY_TEMPLATES[name].fill(FASHIONIQ)[0] for name in FASHIONIQ_TRAINING}


def test_a_template_changes_what_a_checkpoint_is_compared_by(tmp_path: Path) -> None:
    root = write_circo(tmp_path)
    prints = {
        CIREvaluator(load_benchmark("circo", root, "val", query_template=name)).fingerprint()
        for name in (None, "relative-caption", "shared-concept")
    }
    assert len(prints) == 2


def test_several_texts_and_images_are_averaged(tmp_path: Path) -> None:
    colours = {"red": (255, 0, 0), "black": (0, 0, 0)}
    for name, colour in colours.items():
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{name}.png")
    images = {name: ImageRef(name, tmp_path / f"{name}.png") for name in colours}

    def embed(mode: str, *queries: Query) -> np.ndarray:
        retriever = colour_retriever()
        return RetrieverAdapter(retriever, OnDemandTokens(retriever, images), mode).embed_queries(list(queries))

    def ask(reference: str, text: str, *further: str, second: tuple[str, ...] = ()) -> Query:
        return Query("q", reference, text, "", (), further_references=second, further_modifications=further)

    single = [ask("red", "green"), ask("red", "blue"), ask("black", "green"), ask("black", "blue")]
    several = ask("red", "green", "blue", second=("black",))
    for mode, parts in [("composed", single), ("text", single[:2]), ("image", [single[0], single[2]])]:
        alone = embed(mode, *parts)
        mean = alone.mean(axis=0)
        together = embed(mode, single[0], several, single[3])
        np.testing.assert_allclose(together[1], mean / np.linalg.norm(mean), rtol=1e-5)
        # A query with one image and one text is what it is without the others, to the last bit.
        assert (together[[0, 2]] == embed(mode, single[0], single[3])).all()


def test_the_command_prints_the_template(likebut: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Retriever, "from_pretrained", lambda name, device=None: colour_retriever())
    root = write_circo(tmp_path / "circo")
    options = ["evaluate", "--benchmark", "circo", "--root", root, "--model", "m"]
    assert "query template relative-caption" in likebut(*options).out
    shared = json.loads(likebut(*options, "--query-template", "shared-concept", "--json").out)
    assert shared["query_template"] == "shared-concept"
    wrong = likebut(*options, "--query-template", "captions-and")
    assert wrong.code == 2 and "shared-concept" in wrong.err
