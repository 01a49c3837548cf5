"""The frozen vision encoder: pixels to image tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.data.images import Preprocessing
from likebut.errors import InputError


class VisionEncoder(nn.Module):
    """A frozen vision network with its identity and preprocessing.

    Args:
        network: Maps (B, 3, S, S) to (B, T, W).
        name: Identity of architecture and weights, which keeps cached tokens of different encoders apart.
        width: W.
        tokens: T.
        preprocessing: Maps an image to the network's input.
        dtype: Compute dtype; tokens are returned as float32.
    """

    def __init__(
        self,
        network: nn.Module,
        name: str,
        width: int,
        tokens: int,
        preprocessing: Preprocessing,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.network = network.to(dtype).requires_grad_(False).eval()
        _lay_channels_last(self.network)
        self.dtype = dtype
        self.name = name if dtype == torch.float32 else f"{name}-{str(dtype).removeprefix('torch.')}"
        self.width = width
        self.tokens = tokens
        self.preprocessing = preprocessing

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, T, W) float32."""
        tokens: Tensor = self.network(pixels.to(self.dtype).contiguous(memory_format=torch.channels_last))
        return tokens.float()


def _lay_channels_last(network: nn.Module) -> None:
    # With channels-last weights oneDNN is faster, and an image's tokens are bit-identical in batches of any size.
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


class NoVision(nn.Module):
    """Placeholder in a model that was saved without a vision encoder; it refuses images."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Refuse.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "This model has no vision encoder: it takes image tokens, not images.",
            "Convert or train it with a preset that has a vision encoder.",
            code="no-vision-encoder",
        )


class PatchNetwork(nn.Module):
    """A patch embedding and a convolution, with random weights; for tests.

    Args:
        width: W.
        patch: Patch size, in pixels.
    """

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.mix = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, (S / patch)², W)."""
        features: Tensor = self.mix(functional.gelu(self.embed(pixels)))
        return features.flatten(2).transpose(1, 2)
