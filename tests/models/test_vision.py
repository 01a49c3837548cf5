import pytest
import torch

from likebut.models.loading import load_vision
from likebut.models.preset import load_preset

PIXELS = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_tiny_gives_the_declared_tokens_and_they_depend_on_the_image() -> None:
    vision = load_vision(load_preset("tiny"))
    tokens = vision(PIXELS)
    assert tokens.shape == (3, vision.tokens, vision.width)
    assert not torch.equal(tokens[0], tokens[1])


def test_a_token_sees_its_own_place() -> None:
    vision = load_vision(load_preset("tiny"))
    changed = PIXELS.clone()
    changed[:, :, 24:, 24:] += 1.0  # the last of 4 × 4 patches
    moved = (vision(changed) - vision(PIXELS)).abs().sum(dim=(0, 2))
    # The last token and, through the 3 × 3 convolution, its neighbours.
    assert moved.nonzero().flatten().tolist() == [10, 11, 14, 15]


def test_vision_is_frozen_and_out_of_training_mode() -> None:
    vision = load_vision(load_preset("tiny"))
    assert not any(value.requires_grad for value in vision.parameters())
    assert not vision.network.training


def test_the_name_identifies_weights_and_precision() -> None:
    preset = load_preset("tiny")
    name = load_vision(preset).name
    assert name == load_vision(preset).name and name.startswith("patches-")
    assert load_vision(preset.model_copy(update={"seed": 1})).name != name
    assert load_vision(preset, dtype=torch.bfloat16).name == f"{name}-bfloat16"


def test_half_precision_gives_nearly_the_same_tokens_as_float32() -> None:
    preset = load_preset("tiny")
    full, half = load_vision(preset)(PIXELS), load_vision(preset, dtype=torch.bfloat16)(PIXELS)
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().max() < 0.05


def test_loading_restores_the_random_generator() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_vision(load_preset("tiny"))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("size", [16, 64])
def test_preprocessing_is_the_presets(size: int) -> None:
    preset = load_preset("tiny")
    part = preset.vision.model_copy(update={"image_size": size})
    assert load_vision(preset.model_copy(update={"vision": part})).preprocessing.size == size
