"""A preset with another vision encoder, by hub name."""

from pathlib import Path

import torch

from likebut.backbones.auto_vision import image_preprocessing, read_auto_vision
from likebut.backbones.hub_folder import find_source
from likebut.backbones.preset import HubSource, Preset, VisionPart
from likebut.errors import InputError

_SOURCE = "vision"


def with_vision(preset: Preset, source: str) -> Preset:
    """Return ``preset`` with the vision encoder called ``source``, its sizes taken from the encoder itself.

    Args:
        preset: What everything else comes from; its query encoder must be one whose cross-attention is drawn anew.
        source: A hub id or a local folder of a model that transformers' ``AutoModel`` gives image tokens of.

    Raises:
        MissingWeightsError: The encoder is neither on this machine nor to be fetched.
        InputError: It gives no tokens, or the preset's query encoder was trained on tokens of another width.
    """
    folder = find_source(source)
    encoder = read_auto_vision(folder, torch.float32)
    preprocessing = image_preprocessing(folder, encoder.size)
    part = preset.query_encoder
    if part.source in preset.hub_sources and part.image_width != encoder.width:
        raise InputError(
            f"The query encoder of the preset {preset.name} was trained on image tokens of width {part.image_width}, "
            f"but {source} gives {encoder.width}.",
            "Take the preset small, whose query encoder learns to look anew.",
        )
    vision = VisionPart(
        kind="auto",
        source=_SOURCE,
        image_size=preprocessing.size,
        pad_ratio=preprocessing.pad_ratio,
        mean=preprocessing.mean,
        std=preprocessing.std,
        width=encoder.width,
        tokens=encoder.tokens,
    )
    # A preset's file may lie elsewhere than where this was called, so a folder is named whole.
    place = str(folder.resolve()) if Path(source).expanduser().is_dir() else source
    hub_sources = {**preset.hub_sources, _SOURCE: HubSource(hub=place)}
    return Preset.model_validate(
        preset.model_dump()
        | {
            "name": f"{preset.name}-{source.strip('/').rpartition('/')[2]}",
            "description": f"The preset {preset.name} with the vision encoder {source}",
            "vision": vision.model_dump(),
            "query_encoder": part.model_dump() | {"image_width": encoder.width},
            "hub_sources": {name: hub.model_dump() for name, hub in hub_sources.items()},
        }
    )
