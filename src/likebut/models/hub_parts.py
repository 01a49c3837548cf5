"""A preset's parts that are pretrained models in the hub's layout."""

from pathlib import Path

import torch
from torch import nn

from likebut.errors import InputError
from likebut.models.auto_vision import read_auto_vision
from likebut.models.blip2 import read_blip2_vision, read_heads, read_query_encoder
from likebut.models.hub import find_source, weights_sha256
from likebut.models.preset import Job, Precision, Preset
from likebut.models.query_encoder import QueryEncoder
from likebut.models.vision import VisionEncoder

PRECISIONS: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
_NAME_DIGITS = 12


def hub_folder(preset: Preset, source: str, weights: bool = True) -> Path:
    """Return the folder of the preset's hub source called ``source``.

    Raises:
        MissingWeightsError: It is neither on this machine nor to be fetched.
    """
    return find_source(preset.hub_sources[source].hub, weights)


def load_hub_vision(preset: Preset, folder: Path, dtype: torch.dtype) -> VisionEncoder:
    """Return the vision encoder in ``folder``.

    Raises:
        InputError: It is of another kind, or of other sizes, than the preset says.
    """
    vision = preset.vision
    network = read_blip2_vision(folder, dtype) if vision.kind == "blip2" else read_auto_vision(folder, dtype)
    found = {"width": network.width, "tokens": network.tokens, "image_size": network.size}
    for key, value in found.items():
        if getattr(vision, key) != value:
            raise InputError(
                f"The vision encoder in {folder} has {key} {value}, but the preset {preset.name} says "
                f"{getattr(vision, key)}.",
                f'Set the preset\'s vision.{key} to {value}, or give its source "{vision.source}" the right folder.',
            )
    name = f"{vision.kind}-{weights_sha256(folder)[:_NAME_DIGITS]}"
    return VisionEncoder(network, name, vision.width, vision.tokens, vision.preprocessing(), dtype)


def load_hub_query_encoder(preset: Preset, folder: Path, job: Job) -> QueryEncoder:
    """Return the query encoder of the BLIP-2 or InstructBLIP model in ``folder``.

    Raises:
        InputError: It is of other sizes than the preset says.
    """
    return read_query_encoder(folder, preset.query_encoder_of(job).config())


def fill_heads(module: nn.Module, preset: Preset, job: Job) -> None:
    """Copy the pretrained projections around the query encoder into ``module``, where the preset's part has any.

    For the retriever these are ``vision_projection`` and ``text_projection``, for the generator ``projection``.

    Raises:
        InputError: They have another shape than the module's.
    """
    source = preset.query_encoder_of(job).source
    if source is None or source not in preset.hub_sources:
        return
    folder = hub_folder(preset, source)
    own = module.state_dict()
    heads = {name: value for name, value in read_heads(folder).items() if name in own}
    for name, value in heads.items():
        if value.shape != own[name].shape:
            raise InputError(
                f"{name} in {folder} has shape {tuple(value.shape)}, but the preset {preset.name} makes it "
                f"{tuple(own[name].shape)}.",
                "Mend the preset's embedding_size, or its language_model.width.",
            )
    module.load_state_dict(heads, strict=False)


def query_tokenizer_file(folder: Path) -> Path:
    """Return the file of the query encoder's tokenizer; InstructBLIP keeps it apart from the language model's.

    Raises:
        InputError: There is none.
    """
    for path in (folder / "qformer_tokenizer" / "tokenizer.json", folder / "tokenizer.json"):
        if path.is_file():
            return path
    raise InputError(f"{folder} holds no tokenizer.json.", "Fetch it again, with its tokenizer.")
