import math

import torch
from torch import Tensor
from torch.nn import functional

from likebut.models.efficientnet_lite import EfficientNetLite2, SamePadConvolution, fold_batch_norm

# (repeats, kernel, stride, output channels): Lite2's published table, kept apart from the module's own.
STAGES = [(1, 3, 1, 16), (3, 3, 2, 24), (3, 5, 2, 48), (4, 3, 2, 88), (4, 5, 1, 120), (5, 5, 2, 208), (1, 3, 1, 352)]


def published_checkpoint() -> dict[str, Tensor]:
    """Random weights under the published names, of sizes that reach both of ReLU6's bounds."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def convolution(name: str, norm: str, channels_out: int, channels_in: int, kernel: int) -> None:
        fan_in = channels_in * kernel * kernel
        weight = torch.randn(channels_out, channels_in, kernel, kernel, generator=generator)
        # Small enough that rounding is not amplified from layer to layer.
        state[f"{name}.weight"] = weight * math.sqrt(0.5 / fan_in)
        state[f"{norm}.weight"] = 0.5 + torch.rand(channels_out, generator=generator)
        state[f"{norm}.bias"] = torch.randn(channels_out, generator=generator) * 0.3
        state[f"{norm}.running_mean"] = torch.randn(channels_out, generator=generator) * 0.3
        # Some variances as small as ε itself, so that the wrong ε shows.
        state[f"{norm}.running_var"] = torch.rand(channels_out, generator=generator) + 1e-3
        state[f"{norm}.num_batches_tracked"] = torch.tensor(1)

    convolution("_conv_stem", "_bn0", 32, 3, 3)
    channels, index = 32, 0
    for stage, (repeats, kernel, _, channels_out) in enumerate(STAGES):
        for _ in range(repeats):
            block = f"_blocks.{index}"
            between = channels if stage == 0 else channels * 6
            if stage > 0:
                convolution(f"{block}._expand_conv", f"{block}._bn0", between, channels, 1)
            convolution(f"{block}._depthwise_conv", f"{block}._bn1", between, 1, kernel)
            convolution(f"{block}._project_conv", f"{block}._bn2", channels_out, between, 1)
            channels, index = channels_out, index + 1
    convolution("_conv_head", "_bn1", 1280, channels, 1)
    state["_fc.weight"] = torch.randn(1000, 1280, generator=generator)
    state["_fc.bias"] = torch.randn(1000, generator=generator)
    return state


def plain_forward(state: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """The published network, unfolded and written out: convolution, batch norm, ReLU6."""

    def apply(features: Tensor, name: str, norm: str, stride: int = 1, groups: int = 1, active: bool = True) -> Tensor:
        weight = state[f"{name}.weight"]
        kernel, side = weight.shape[-1], features.shape[-1]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        before, after = total // 2, total - total // 2
        features = functional.conv2d(
            functional.pad(features, (before, after, before, after)), weight, stride=stride, groups=groups
        )
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        features = functional.batch_norm(
            features, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3
        )
        return features.clamp(0, 6) if active else features

    features = apply(pixels, "_conv_stem", "_bn0", stride=2)
    index = 0
    for stage, (repeats, _, stride, _) in enumerate(STAGES):
        for repeat in range(repeats):
            block, entered = f"_blocks.{index}", features
            if stage > 0:
                features = apply(features, f"{block}._expand_conv", f"{block}._bn0")
            step, groups = (stride if repeat == 0 else 1), features.shape[1]
            features = apply(features, f"{block}._depthwise_conv", f"{block}._bn1", step, groups)
            features = apply(features, f"{block}._project_conv", f"{block}._bn2", active=False)
            features = features + entered if features.shape == entered.shape else features
            index += 1
    return apply(features, "_conv_head", "_bn1")


@torch.no_grad()
def test_folded_network_is_the_published_one() -> None:
    checkpoint = published_checkpoint()
    state = fold_batch_norm(checkpoint)
    classifier = {name: state.pop(name) for name in ("classifier.weight", "classifier.bias")}
    assert torch.equal(classifier["classifier.weight"], checkpoint["_fc.weight"])
    network = EfficientNetLite2().eval()
    network.load_state_dict(state)
    pixels = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))[..., :64]
    expected = plain_forward(checkpoint, pixels)  # (2, 1280, 2, 2)
    assert 0 < (expected > 0).float().mean() < 1
    torch.testing.assert_close(network.head_map(pixels), expected, atol=2e-3, rtol=1e-3)


@torch.no_grad()
def test_tokens_are_the_stages_maps_side_by_side() -> None:
    network = EfficientNetLite2().eval()
    network.load_state_dict({n: v for n, v in fold_batch_norm(published_checkpoint()).items() if "classifier" not in n})
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    tokens = network(pixels)
    assert tokens.shape == (2, 4, 48 + 88 + 120 + 208 + 352)
    features = torch.nn.functional.relu6(network.stem(pixels))
    stride_8 = network.blocks[:7](features)  # the first three stages: (2, 48, 8, 8)
    last = network.blocks(features)  # (2, 352, 2, 2)
    # Row by row from the top left.
    for token, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        square = stride_8[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        torch.testing.assert_close(tokens[:, token, :48], square.mean(dim=(2, 3)))
        torch.testing.assert_close(tokens[:, token, -352:], last[:, :, row, column])


def test_an_odd_pixel_of_padding_goes_to_the_right_and_the_bottom() -> None:
    convolution = SamePadConvolution(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(convolution.weight)
    summed = convolution(torch.arange(16.0).view(1, 1, 4, 4))
    # Windows start at 0 and 2; the last row and column of the second are zeros.
    assert summed.flatten().tolist() == [45.0, 39.0, 66.0, 50.0]
