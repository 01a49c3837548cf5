"""Vision encoders that transformers' ``AutoModel`` loads: CLIP, SigLIP 2, DINOv3 and others."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from likebut.data.images import CLIP_MEAN, CLIP_STD, Preprocessing
from likebut.errors import InputError
from likebut.files import read_json

_PAD_RATIO = 1.25


class AutoVision(nn.Module):
    """The vision tower of a pretrained model; it returns the tokens of the last layer.

    Args:
        tower: Maps ``pixel_values`` to an output with ``last_hidden_state``: (B, T, W), or (B, W, h, w) from a
            convolutional encoder.
        size: Side S of the square input, in pixels.

    Raises:
        InputError: The tower refuses square images of this size, or returns no tokens.
    """

    def __init__(self, tower: nn.Module, size: int) -> None:
        super().__init__()
        self.tower = tower
        self.size = size
        self.tokens, self.width = self._token_shape()

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, T, W); class and register tokens, if any, come first."""
        states: Tensor = self.tower(pixel_values=pixels.to(next(self.tower.parameters()).dtype)).last_hidden_state
        return states.flatten(2).transpose(1, 2) if states.dim() == 4 else states

    @torch.no_grad()
    def _token_shape(self) -> tuple[int, int]:
        reference = next(self.tower.parameters())
        pixels = torch.zeros(1, 3, self.size, self.size, device=reference.device)
        try:
            tokens = self(pixels)
        except (TypeError, AttributeError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise InputError(
                f"{type(self.tower).__name__} does not turn images of {self.size}×{self.size} pixels into tokens "
                f"({reason}).",
                "Use an encoder of fixed resolution, at the resolution it was trained for.",
                code="no-image-tokens",
            ) from None
        return tokens.shape[1], tokens.shape[2]


def read_auto_vision(folder: Path, precision: torch.dtype) -> AutoVision:
    """Return the vision encoder in ``folder``; of an image-text model, its vision tower.

    Raises:
        InputError: transformers does not support the model, or its weights are not safetensors.
    """
    model = read_auto_model(folder, precision)
    tower = getattr(model, "vision_model", model)
    return AutoVision(tower.eval().requires_grad_(False), image_size(folder))


def read_auto_model(folder: Path, precision: torch.dtype) -> nn.Module:
    """Return the whole model in ``folder``, frozen.

    Raises:
        InputError: transformers does not support the model, or its weights are not safetensors.
    """
    from transformers import AutoModel

    try:
        model: nn.Module = AutoModel.from_pretrained(folder, dtype=precision, use_safetensors=True)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"{folder} cannot be loaded ({reason}).",
            "Use a model that transformers' AutoModel supports, in safetensors.",
            "unloadable-model",
        ) from None
    return model.eval().requires_grad_(False)


def image_size(folder: Path) -> int:
    """Return the side of the images that the model in ``folder`` was trained on, in pixels.

    Raises:
        InputError: ``config.json`` has no square ``image_size``.
    """
    config = read_json(folder / "config.json")
    size = (config.get("vision_config") or config).get("image_size") or _processor_size(folder)
    if isinstance(size, list) and len(set(size)) == 1:
        size = size[0]
    if not isinstance(size, int):
        raise InputError(f"{folder / 'config.json'} has no square image_size.", "Use another vision encoder.")
    return size


def image_preprocessing(folder: Path, size: int) -> Preprocessing:
    """Return the preprocessing with the model's mean and standard deviation; CLIP's where the model has none."""
    processor = _processor(folder)
    mean = tuple(processor.get("image_mean") or CLIP_MEAN)
    std = tuple(processor.get("image_std") or CLIP_STD)
    return Preprocessing(size, _PAD_RATIO, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def _processor(folder: Path) -> dict[str, Any]:
    path = folder / "preprocessor_config.json"
    processor: dict[str, Any] = read_json(path) if path.is_file() else {}
    return processor


def _processor_size(folder: Path) -> int | None:
    size = _processor(folder).get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    return size if isinstance(size, int) else None
