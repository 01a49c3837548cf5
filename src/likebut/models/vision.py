"""The frozen vision encoder: pixels in, image tokens out."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.data.images import Preprocessing
from likebut.errors import InputError


class VisionEncoder(nn.Module):
    """A frozen network with what one must know to use it.

    Args:
        network: Maps (B, 3, S, S) to (B, T, W).
        name: Identity: architecture and weights, so that tokens on disk are never mixed.
        width: W.
        tokens: T.
        preprocessing: How an image becomes the network's input.
        dtype: What the network computes in; tokens come out as float32 all the same.
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
    # In this layout oneDNN is faster and gives an image the same bits in a batch of any size.
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


class NoVision(nn.Module):
    """Stands for an encoder that is elsewhere."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Refuse.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "This model was made without its vision encoder: it takes image tokens, not images.",
            "Convert or train it with a preset that names the vision encoder.",
        )


class PatchNetwork(nn.Module):
    """Two convolutions, the first cutting the image into patches: enough to test what stands on it.

    Args:
        width: W.
        patch: Side of a patch, in pixels.
    """

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.mix = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, (S / patch)², W)."""
        features: Tensor = self.mix(functional.gelu(self.embed(pixels)))
        return features.flatten(2).transpose(1, 2)
