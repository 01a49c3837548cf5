import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from likebut.errors import ImageError, InputError
from likebut.generator.decoding import Decoding
from likebut.generator.generator import GeneratorConfig, ModificationGenerator
from likebut.generator.mtst import CaptionBatch, GeneratorBatch
from likebut.models.preset import load_preset
from likebut.settings import parse_settings
from likebut.synthesis.options import SynthesisOptions

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
def test_the_loss_is_the_mean_over_the_batchs_tokens(generator: ModificationGenerator) -> None:
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
def test_swapped_images_swap_their_query_tokens(generator: ModificationGenerator) -> None:
    one, other = tokens(2, 1), tokens(2, 2)
    reference, target, _ = generator.model.pair_queries(one, other)
    swapped = generator.model.pair_queries(other, one)
    torch.testing.assert_close(swapped[0], target)
    torch.testing.assert_close(swapped[1], reference)


def test_a_text_does_not_depend_on_the_rest_of_the_batch(generator: ModificationGenerator) -> None:
    pair = tokens(3, 1), tokens(3, 2)
    alone = [generator.write_batch(pair[0][i : i + 1], pair[1][i : i + 1], GREEDY)[0] for i in range(3)]
    assert generator.write_batch(*pair, GREEDY) == alone


def test_images_in_any_form(generator: ModificationGenerator, tmp_path: Path) -> None:
    image, path = Image.new("RGB", (40, 30), "red"), tmp_path / "a.png"
    image.save(path)
    forms = [image, path, str(path), path.read_bytes(), path.open("rb"), image.convert("RGBA")]
    texts = {generator.write(form, image, "short", GREEDY) for form in forms}
    assert len(texts) == 1
    with pytest.raises(ImageError):
        generator.write(tmp_path / "none.png", image)


def test_one_pair_or_many(generator: ModificationGenerator, tmp_path: Path) -> None:
    images = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green")]
    images[1].save(tmp_path / "blue.png")
    references, targets = [images[0], tmp_path / "blue.png"], (images[1], images[2])
    one_by_one = [generator.write(*pair, decoding=GREEDY) for pair in zip(references, targets, strict=True)]
    assert generator.write(references, targets, decoding=GREEDY) == one_by_one
    assert generator.write(references[:1], targets[:1], decoding=GREEDY) == one_by_one[:1]
    assert generator.write([], []) == []
    many = generator.write(references * 10, list(targets) * 10, decoding=GREEDY)
    assert many == one_by_one * 10


@pytest.mark.parametrize("wrong", [3, None, torch.zeros(3, 4, 4), [3]])
def test_other_types_are_input_errors(generator: ModificationGenerator, wrong: object) -> None:
    image = Image.new("RGB", (40, 30), "red")
    with pytest.raises(InputError) as error:
        generator.write([image] if isinstance(wrong, list) else image, wrong)
    assert type(wrong[0] if isinstance(wrong, list) else wrong).__name__ in error.value.problem


def test_the_numbers_of_images_must_agree(generator: ModificationGenerator) -> None:
    image = Image.new("RGB", (40, 30), "red")
    for reference, target in (([image] * 2, [image]), (image, [image]), ([image], image)):
        with pytest.raises(InputError) as error:
            generator.write(reference, target)
        assert error.value.code == "image-count-mismatch"


def test_one_function_decides_the_default_decoding(
    generator: ModificationGenerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What ``write`` and `likebut synthesize` do without options is the same, and is saved with the generator."""
    used: list[Decoding] = []
    image = Image.new("RGB", (40, 30), "red")
    loaded: list[ModificationGenerator] = []
    load = ModificationGenerator.from_pretrained
    monkeypatch.setattr(
        ModificationGenerator,
        "from_pretrained",
        classmethod(lambda cls, *arguments: loaded.append(load(*arguments)) or loaded[-1]),
    )
    for number, (saved, expected) in enumerate(
        [
            ({}, Decoding()),
            ({"default_decoding": "consensus"}, Decoding(method="consensus")),
            ({"default_decoding": "greedy"}, Decoding(method="greedy").with_length("medium")),
            ({"default_length": "short"}, Decoding().with_length("short")),
        ]
    ):
        config = generator.config.model_copy(update=saved)
        folder = tmp_path / str(number)
        ModificationGenerator(config, generator.model, generator.vision, "cpu").save(folder)
        job = options(str(folder)).job(tmp_path / "out", same_text_share=0.01)
        monkeypatch.setattr(job.generator, "write_batch", lambda _, __, decoding: [used.append(decoding) or ""])
        job.generator.write(image, image)
        assert job.writing.decoding == used[-1] == expected
        assert options(str(folder), length="long").job(tmp_path / "out", 0.01).writing.decoding == config.decoding(
            length="long"
        )
        assert options(str(folder), decoding="greedy").job(tmp_path / "out", 0.01).writing.decoding == config.decoding(
            "greedy"
        )


def options(generator: str, **changes: object) -> SynthesisOptions:
    given: dict[str, object] = {
        "retriever": None,
        "length": None,
        "decoding": None,
        "beams": 5,
        "seed": 0,
        "round_trip_rank": 5,
        "same_text_share": None,
        "blocklist": None,
        "log_probability": False,
        "shard_size": 256,
        "batch_size": 16,
        "precision": "fp32",
        "device": "cpu",
        "features": None,
        "refilter": False,
    }
    return SynthesisOptions(generator=generator, **(given | changes))


def test_given_decoding_settings_hold_unless_a_length_is_given(
    generator: ModificationGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Decoding] = []
    monkeypatch.setattr(generator, "write_batch", lambda _, __, decoding: [used.append(decoding) or ""])
    image = Image.new("RGB", (40, 30), "red")
    wordy = Decoding(max_new_tokens=100, min_new_tokens=50, length_penalty=2.0)
    generator.write(image, image, decoding=wordy)
    generator.write(image, image, "short", wordy)
    assert used == [wordy, wordy.with_length("short")]


def test_configs_of_version_0_1_open() -> None:
    saved = {"job": "generator", "preset": "small", "revision": "", "image_marks": True, "writes_by": "consensus"}
    config = parse_settings(GeneratorConfig, saved, "config.json")
    assert (config.image_type_embeddings, config.default_decoding, config.default_length) == (True, "consensus", None)


def test_other_models_are_refused(generator: ModificationGenerator, tmp_path: Path) -> None:
    generator.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "job": "retriever"}))
    with pytest.raises(InputError, match="retriever"):
        ModificationGenerator.from_pretrained(tmp_path, "cpu")
    without = load_preset("tiny").model_copy(update={"name": "mute", "language_model": None})
    with pytest.raises(InputError, match="mute"):
        ModificationGenerator.from_preset(without, device="cpu")


@torch.no_grad()
def test_training_scoring_and_decoding_read_the_reference_first(
    generator: ModificationGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, module = generator.model, "likebut.generator.generator"
    one, other, texts = tokens(2, 1), tokens(2, 2), ["in red", "with longer sleeves"]
    read: list[torch.Tensor] = []

    def record(prefix: torch.Tensor) -> torch.Tensor:
        read.append(prefix)
        return torch.zeros(len(prefix))

    monkeypatch.setattr(model, "loss", lambda prefix, _: record(prefix))
    monkeypatch.setattr(f"{module}.log_probabilities", lambda _, prefix, __: record(prefix))
    monkeypatch.setattr(f"{module}.write_texts", lambda _, prefix, __: [str(each) for each in record(prefix)])
    model(GeneratorBatch(one, other, texts))
    generator.log_probabilities(one, other, texts)
    generator.write_batch(one, other, GREEDY)
    images = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    generator.write(images[0], images[1], "short", GREEDY)
    seen = generator.vision_tokens(images)
    # The golden tensors hold which image is which in the prefix.
    expected = [model.pair_prefix(one, other)] * 3 + [model.pair_prefix(seen[:1], seen[1:])]
    assert not torch.allclose(expected[0], model.pair_prefix(other, one))
    assert not torch.allclose(expected[3], model.pair_prefix(seen[1:], seen[:1]))
    for found, wanted in zip(read, expected, strict=True):
        torch.testing.assert_close(found, wanted)
