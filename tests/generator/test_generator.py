import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from likebut.errors import ImageError, InputError
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.generator.mtst import CaptionBatch, GeneratorBatch
from likebut.models.preset import load_preset

GREEDY = Decoding(method="greedy", max_new_tokens=6)


@pytest.fixture(scope="module")
def generator() -> ModificationGenerator:
    made = ModificationGenerator.from_preset("tiny", device="cpu")
    with torch.no_grad():
        for value in made.model.parameters():
            if value.requires_grad:
                value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(0)) * 0.2)
    return made


def tokens(batch: int, seed: int) -> torch.Tensor:
    return torch.randn(batch, 16, 32, generator=torch.Generator().manual_seed(seed))


def test_round_trip(generator: ModificationGenerator, tmp_path: Path) -> None:
    generator.save(tmp_path)
    again = ModificationGenerator.from_pretrained(tmp_path, "cpu")
    pair = tokens(3, 1), tokens(3, 2)
    torch.testing.assert_close(again.model.pair_prefix(*pair), generator.model.pair_prefix(*pair))
    assert again.write_batch(*pair, GREEDY) == generator.write_batch(*pair, GREEDY)


def test_the_language_model_is_neither_trained_nor_saved(generator: ModificationGenerator, tmp_path: Path) -> None:
    generator.save(tmp_path)
    names = {name for name, _ in generator.model.named_parameters()}
    assert all(name.startswith(("query_encoder.", "projection.")) for name in names)
    loss = generator.model(GeneratorBatch(tokens(2, 1), tokens(2, 2), ["in red", "with longer sleeves"]))
    loss.backward()
    assert generator.model.projection.weight.grad is not None
    assert all(value.grad is None for value in generator.model.language.model.parameters())
    generator.model.zero_grad()


@torch.no_grad()
def test_the_loss_of_a_batch_weighs_every_token_alike(generator: ModificationGenerator) -> None:
    texts = ["in red", "with much longer sleeves"]
    pairs = tokens(2, 1), tokens(2, 2)
    lengths = [len(text.encode()) + 1 for text in texts]  # bytes and an end
    alone = [
        generator.model(GeneratorBatch(pairs[0][i : i + 1], pairs[1][i : i + 1], texts[i : i + 1])).item()
        for i in range(2)
    ]
    together = generator.model(GeneratorBatch(*pairs, texts)).item()
    expected = sum(loss * length for loss, length in zip(alone, lengths, strict=True)) / sum(lengths)
    assert together == pytest.approx(expected, abs=1e-4)


def test_a_caption_has_its_own_instruction(generator: ModificationGenerator) -> None:
    model = generator.model
    prefix = model.caption_prefix(tokens(2, 1))
    instruction = len(model.language.instruction_ids(model.caption_instruction))
    assert prefix.shape == (2, 4 + instruction, 32)
    assert model(CaptionBatch(tokens(2, 1), ["a dress", "a red coat"])).item() > 0


@torch.no_grad()
def test_swapping_the_images_swaps_their_tokens(generator: ModificationGenerator) -> None:
    one, other = tokens(2, 1), tokens(2, 2)
    reference, target, _ = generator.model.pair_queries(one, other)
    swapped = generator.model.pair_queries(other, one)
    torch.testing.assert_close(swapped[0], target)
    torch.testing.assert_close(swapped[1], reference)


def test_a_text_does_not_depend_on_the_rest_of_the_batch(generator: ModificationGenerator) -> None:
    pair = tokens(3, 1), tokens(3, 2)
    alone = [generator.write_batch(pair[0][i : i + 1], pair[1][i : i + 1], GREEDY)[0] for i in range(3)]
    assert generator.write_batch(*pair, GREEDY) == alone


def test_pictures_in_any_form_and_the_length_wanted(generator: ModificationGenerator, tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 30), "red")
    picture.save(tmp_path / "a.png")
    forms = [picture, tmp_path / "a.png", str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes()]
    texts = {generator.write(form, form, "short", GREEDY) for form in forms}
    assert len(texts) == 1
    with pytest.raises(InputError, match='no length "tiny"'):
        generator.write(picture, picture, "tiny")
    with pytest.raises(ImageError):
        generator.write(tmp_path / "none.png", picture)


def test_it_writes_in_the_way_that_was_saved_with_it(
    generator: ModificationGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generator.own_decoding == Decoding()
    config = generator.config.model_copy(update={"default_decoding": "consensus"})
    ModificationGenerator(config, generator.model, generator.vision, "cpu").save(tmp_path)
    again = ModificationGenerator.from_pretrained(tmp_path, "cpu")
    assert again.own_decoding.method == "consensus"
    used: list[Decoding] = []
    monkeypatch.setattr(again, "write_batch", lambda _, __, decoding: [used.append(decoding) or ""])
    picture = Image.new("RGB", (40, 30), "red")
    again.write(picture, picture, "short")
    again.write(picture, picture, "long")
    assert [decoding.method for decoding in used] == ["consensus", "consensus"]
    assert used[0].share > used[1].share


def test_settings_that_are_given_stand_unless_a_length_is_given_too(
    generator: ModificationGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Decoding] = []
    monkeypatch.setattr(generator, "write_batch", lambda _, __, decoding: [used.append(decoding) or ""])
    picture = Image.new("RGB", (40, 30), "red")
    wordy = Decoding(max_new_tokens=100, min_new_tokens=50, length_penalty=2.0)
    generator.write(picture, picture, decoding=wordy)
    generator.write(picture, picture, "short", wordy)
    generator.write(picture, picture)
    assert used == [wordy, wordy.with_length("short"), Decoding().with_length("medium")]


def test_what_is_no_generator_is_refused(generator: ModificationGenerator, tmp_path: Path) -> None:
    generator.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "job": "retriever"}))
    with pytest.raises(InputError, match="a retriever, not a generator"):
        ModificationGenerator.from_pretrained(tmp_path, "cpu")
    without = load_preset("tiny").model_copy(update={"name": "mute", "language_model": None})
    with pytest.raises(InputError, match="The preset mute has no language model"):
        ModificationGenerator.from_preset(without, device="cpu")


@torch.no_grad()
def test_training_scoring_and_writing_read_the_reference_first(
    generator: ModificationGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, module = generator.model, "likebut.generator.generator"
    one, other, texts = tokens(2, 1), tokens(2, 2), ["in red", "with longer sleeves"]
    read: list[torch.Tensor] = []

    def noted(prefix: torch.Tensor) -> torch.Tensor:
        read.append(prefix)
        return torch.zeros(len(prefix))

    monkeypatch.setattr(model, "loss", lambda prefix, _: noted(prefix))
    monkeypatch.setattr(f"{module}.log_probabilities", lambda _, prefix, __: noted(prefix))
    monkeypatch.setattr(f"{module}.write_texts", lambda _, prefix, __: [str(each) for each in noted(prefix)])
    model(GeneratorBatch(one, other, texts))
    generator.log_probabilities(one, other, texts)
    generator.write_batch(one, other, GREEDY)
    pictures = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    generator.write(pictures[0], pictures[1], "short", GREEDY)
    seen = generator.vision_tokens(pictures)
    # The golden tensors hold which image is which in the prefix.
    expected = [model.pair_prefix(one, other)] * 3 + [model.pair_prefix(seen[:1], seen[1:])]
    assert not torch.allclose(expected[0], model.pair_prefix(other, one))
    assert not torch.allclose(expected[3], model.pair_prefix(seen[1:], seen[:1]))
    for found, wanted in zip(read, expected, strict=True):
        torch.testing.assert_close(found, wanted)
