"""``likebut models convert``: published checkpoints as model folders."""

import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from likebut.errors import InputError
from likebut.files import atomic_path


class Job(StrEnum):
    """What a checkpoint was trained for."""

    RETRIEVER = "retriever"
    GENERATOR = "generator"


class Kind(StrEnum):
    """Which published retriever."""

    PTHA = "ptha"
    SPRC = "sprc"


class PoolingName(StrEnum):
    """How a retriever's second hop is pooled."""

    PUBLISHED = "published"
    CLS = "cls"
    MASKED_MEAN = "masked-mean"


_Preset = Annotated[
    str | None,
    typer.Option(help="Whose parts to use (a name, or a preset's .json file); by default the paper's where they fit."),
]
_Pooling = Annotated[
    PoolingName | None,
    typer.Option(help="How hop two is pooled; by default as the kind's release does: published, for sprc cls."),
]
_StageOne = Annotated[
    bool, typer.Option("--stage-one", help="A BLIP-2 stage-one checkpoint: its prompt tokens are drawn anew.")
]
_Heads = Annotated[int | None, typer.Option(help="The query encoder's attention heads, where width/64 is wrong.")]


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth, .pt or .safetensors file in LAVIS naming.")],
    job: Annotated[Job, typer.Option(help="What it was trained for.")],
    out: Annotated[Path, typer.Option(help="The model folder to write; it must not exist.")],
    preset: _Preset = None,
    kind: Annotated[Kind, typer.Option(help="Which published retriever.")] = Kind.PTHA,
    pooling: _Pooling = None,
    stage_one: _StageOne = False,
    heads: _Heads = None,
    vision_heads: Annotated[int | None, typer.Option(help="The vision encoder's attention heads, likewise.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Turn a published checkpoint (BLIP-2 stage one, SPRC, MTST, PTHA) into a model folder.

    Every key is renamed or ignored by name; an unknown or missing key is an error. No code in the file is run.
    """
    from likebut.backbones.checkpoint_file import read_checkpoint
    from likebut.backbones.preset import load_preset

    if out.exists():
        raise InputError(f"{out} exists already.", "Give the name of a folder that is still to be made.")
    content = read_checkpoint(checkpoint)
    parts = load_preset(preset) if preset is not None else None
    with atomic_path(out) as folder:
        if job is Job.GENERATOR:
            from likebut.generator.from_lavis import convert_generator

            ignored = convert_generator(content, folder, parts, heads, vision_heads)
        else:
            from likebut.retriever.from_lavis import convert_retriever

            pooling = pooling or (PoolingName.CLS if kind is Kind.SPRC else PoolingName.PUBLISHED)
            ignored = convert_retriever(
                content, folder, kind.value, pooling.value, parts, heads, vision_heads, stage_one
            )
    _report(out, len(content.tensors) - len(ignored), ignored, as_json)


def _report(out: Path, used: int, ignored: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"folder": str(out), "used": used, "ignored": ignored}, indent=2))
        return
    print(f"{out}: {used} tensors used.")
    for group, count in Counter(".".join(name.split(".")[:2]) for name in ignored).items():
        print(f"  ignored: {group} ({count} tensors)")
