"""``likebut models export``: a trained model made small enough to hand on."""

import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from likebut.errors import InputError


class ExportPrecision(StrEnum):
    """What the weights are stored in."""

    FP16 = "fp16"
    FP32 = "fp32"


def export(
    model: Annotated[str, typer.Argument(help="A trained model: a folder, a published name, a hub id.")],
    job: Annotated[str, typer.Argument(metavar="JOB", help="retriever or generator.")],
    out: Annotated[Path, typer.Argument(help="The model folder to write; it must not exist.")],
    precision: Annotated[ExportPrecision, typer.Option(help="fp16 halves the file.")] = ExportPrecision.FP16,
) -> None:
    """Write a model folder with what was trained, in half precision, and with the parts that this machine alone has."""
    import torch

    from likebut.backbones.model_folder import (
        find_model_folder,
        read_model_folder,
        save_model_folder,
        with_parts_beside,
    )
    from likebut.files import atomic_path

    if job not in ("retriever", "generator"):
        raise InputError(f'There is no job "{job}".', "Give retriever or generator.")
    if out.exists():
        raise InputError(f"{out} exists already.", "Give the name of a folder that is still to be made.")
    source = find_model_folder(model, job)
    config, state = read_model_folder(source, job)
    config.pop("weights_sha256", None)
    dtype = torch.float16 if precision is ExportPrecision.FP16 else torch.float32
    with atomic_path(out) as folder:
        config, parts = with_parts_beside(config, source)
        for part, place in parts.items():
            shutil.copytree(place, folder / part)
        save_model_folder(folder, config, {name: value.to(dtype) for name, value in state.items()})
    size = sum(file.stat().st_size for file in out.rglob("*"))
    print(f"Wrote {out} ({size / 1e6:.1f} MB).")
