"""EfficientNet-Lite2 (Tan and Le, 2019; the Lite variant of 2020): no squeeze-and-excitation, ReLU6 throughout.

Batch normalisation is folded into the convolutions: every convolution has a bias and is followed by the activation
alone. :func:`fold_batch_norm` does this once, when a checkpoint is converted.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD_WIDTH = 1280
CLASSES = 1000
_STEM_WIDTH = 32
_BATCH_NORM_EPS = 1e-3  # TensorFlow's value, not PyTorch's default
# (repeats, kernel, stride, expansion, output channels) of each stage, scaled to Lite2 (width 1.1, depth 1.2; Lite does
# not scale the stem, the head and the repeats of the first and last stage).
_STAGES = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
    (5, 5, 2, 6, 208),
    (1, 3, 1, 6, 352),
)
# Stages whose feature maps form the tokens: strides 8, 16 and 32. The last map alone loses colour: a linear probe of
# the sample's attributes reaches 83 % accuracy on it and 97 % on these (docs/experiments/).
_STAGES_READ = (2, 3, 4, 5, 6)
WIDTH = sum(_STAGES[stage][4] for stage in _STAGES_READ)


class SamePadConvolution(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: an odd pixel goes to the right and the bottom."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', ⌈H / stride⌉, ⌈W / stride⌉)."""
        top, bottom = self._padding(pixels.shape[-2])
        left, right = self._padding(pixels.shape[-1])
        if top == bottom and left == right:
            return functional.conv2d(
                pixels, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups
            )
        padded = functional.pad(pixels, (left, right, top, bottom))
        return functional.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _padding(self, side: int) -> tuple[int, int]:
        stride, kernel = self.stride[0], self.kernel_size[0]
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        return total // 2, total - total // 2


class InvertedResidual(nn.Module):
    """Expand → depthwise convolution → project, with a skip connection where the shapes allow it.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        kernel: Side of the depthwise kernel.
        stride: Stride of the depthwise convolution.
        expansion: Factor from ``channels_in`` to the inner channels; 1 omits the expansion.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        between = channels_in * expansion
        self.expand = SamePadConvolution(channels_in, between, 1) if expansion > 1 else None
        self.depthwise = SamePadConvolution(between, between, kernel, stride, groups=between)
        self.project = SamePadConvolution(between, channels_out, 1)
        self.skips = stride == 1 and channels_in == channels_out

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', ⌈H / stride⌉, ⌈W / stride⌉)."""
        hidden = features if self.expand is None else functional.relu6(self.expand(features))
        projected: Tensor = self.project(functional.relu6(self.depthwise(hidden)))
        return projected + features if self.skips else projected


class EfficientNetLite2(nn.Module):
    """The network up to the head's convolution; the concatenated maps of strides 8 to 32 are the image tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SamePadConvolution(3, _STEM_WIDTH, 3, 2)
        blocks: list[InvertedResidual] = []
        self._ends: list[int] = []
        channels = _STEM_WIDTH
        for repeats, kernel, stride, expansion, channels_out in _STAGES:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(channels, channels_out, kernel, stride if repeat == 0 else 1, expansion))
                channels = channels_out
            self._ends.append(len(blocks) - 1)
        self.blocks = nn.Sequential(*blocks)
        self.head = SamePadConvolution(channels, HEAD_WIDTH, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to tokens (B, (S / 32)², 816) in row-major order.

        A token concatenates the features of stages 3 to 7 for 32 × 32 pixels; finer maps are averaged.
        """
        maps = self._stage_maps(pixels)
        rows, columns = maps[-1].shape[-2:]
        read = [functional.adaptive_avg_pool2d(maps[stage], (rows, columns)) for stage in _STAGES_READ]
        return torch.cat(read, dim=1).flatten(2).transpose(1, 2)

    def head_map(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to the feature map that the published classifier pools: (B, 1280, S / 32, S / 32)."""
        return functional.relu6(self.head(self._stage_maps(pixels)[-1]))

    def _stage_maps(self, pixels: Tensor) -> list[Tensor]:
        features = functional.relu6(self.stem(pixels))
        maps = []
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in self._ends:
                maps.append(features)
        return maps


def fold_batch_norm(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the published checkpoint to a state of :class:`EfficientNetLite2`, plus the classifier.

    With y = γ (w ∗ x − μ) / √(σ² + ε) + β, the folded weight is w γ / √(σ² + ε) and the folded bias
    β − μ γ / √(σ² + ε), computed in double precision.

    Args:
        checkpoint: Tensors by published name (``_blocks.3._expand_conv.weight`` …).

    Returns:
        The module's parameters by name, and ``classifier.weight``, ``classifier.bias``.

    Raises:
        KeyError: The checkpoint lacks a tensor.
    """
    state = {"classifier.weight": checkpoint["_fc.weight"], "classifier.bias": checkpoint["_fc.bias"]}
    for ours, convolution, batch_norm in _published_names(checkpoint):
        gamma, beta, mean, variance = (
            checkpoint[f"{batch_norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / torch.sqrt(variance + _BATCH_NORM_EPS)
        weight = checkpoint[f"{convolution}.weight"].double() * scale[:, None, None, None]
        state[f"{ours}.weight"] = weight.float().contiguous()
        state[f"{ours}.bias"] = (beta - mean * scale).float()
    return state


def _published_names(checkpoint: Mapping[str, Tensor]) -> list[tuple[str, str, str]]:
    names = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    for index in range(sum(stage[0] for stage in _STAGES)):
        theirs = f"_blocks.{index}"
        if f"{theirs}._expand_conv.weight" in checkpoint:
            names.append((f"blocks.{index}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"))
        names.append((f"blocks.{index}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"))
        names.append((f"blocks.{index}.project", f"{theirs}._project_conv", f"{theirs}._bn2"))
    return names
