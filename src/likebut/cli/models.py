"""``likebut models preset``: a preset's file to change."""

import json
import shutil
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.errors import InputError
from likebut.files import atomic_path, write_json

if TYPE_CHECKING:
    from likebut.models.catalogue import PresetCard


def preset(
    name: Annotated[str, typer.Argument(help="The preset to begin with.")],
    out: Annotated[Path, typer.Option(help="The .json file to write; it must not exist.")],
    vision: Annotated[
        str | None, typer.Option(help="Another vision encoder: a hub id (CLIP, SigLIP 2, DINOv3, …) or a local folder.")
    ] = None,
) -> None:
    """Write a preset as a file, to be changed and given wherever a preset is named."""
    from likebut.models.preset import load_preset

    if out.exists():
        raise InputError(f"{out} exists already.", "Give the name of a file that is still to be made.")
    if out.suffix != ".json":
        raise InputError(f"{out} does not end in .json.", "Give it that ending: by it a preset's file is known.")
    chosen = load_preset(name)
    if vision is not None:
        from likebut.models.loading import with_vision

        chosen = with_vision(chosen, vision)
    write_json(out, chosen.model_dump(mode="json", exclude_none=True))
    print(f"{out}: {chosen.vision.tokens} image tokens of width {chosen.vision.width}.")


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

    from likebut.files import atomic_path
    from likebut.models.model_folder import (
        find_model_folder,
        read_model_folder,
        save_model_folder,
        with_parts_beside,
    )

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
    from likebut.models.checkpoint_file import read_checkpoint
    from likebut.models.preset import load_preset

    if out.exists():
        raise InputError(f"{out} exists already.", "Give the name of a folder that is still to be made.")
    content = read_checkpoint(checkpoint)
    parts = load_preset(preset) if preset is not None else None
    with atomic_path(out) as folder:
        if job is Job.GENERATOR:
            from likebut.generator.conversion import convert_generator

            ignored = convert_generator(content, folder, parts, heads, vision_heads)
        else:
            from likebut.retriever.conversion import convert_retriever

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


models_app = typer.Typer(
    name="models", help="Show and fetch presets' parts and published weights.", no_args_is_help=True
)
models_app.command("convert")(convert)
models_app.command("export")(export)
models_app.command("preset")(preset)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models_app.command("ls")
def ls(as_json: AsJson = False) -> None:
    """List the presets and the weights that ship with the package, and say what is on this machine."""
    from likebut.models.catalogue import list_models

    lines = list_models()
    if as_json:
        print(json.dumps([line.model_dump() for line in lines], indent=2))
        return
    width = max(len(line.name) for line in lines)
    for line in lines:
        state = "ready" if line.ready else f"pull {_megabytes(line.download_bytes)}" if line.download_bytes else "hub"
        print(f"{line.name:<{width}}  {state:<12} {_megabytes(line.bytes):>8}  {line.description}")


@models_app.command("info")
def info(
    name: Annotated[str, typer.Argument(help="A name of `likebut models ls`, or a preset's .json file.")],
    as_json: AsJson = False,
) -> None:
    """Show what a preset or published weights are made of: parts, sizes, sources, licences."""
    from likebut.models.catalogue import describe_preset, describe_weights
    from likebut.models.preset import load_preset

    weights = describe_weights(name)
    if weights is None:
        preset = describe_preset(load_preset(name))
        if as_json:
            print(preset.model_dump_json(indent=2))
        else:
            _print_preset(preset)
    elif as_json:
        print(weights.model_dump_json(indent=2))
    else:
        print(
            f"{weights.name}: trained {weights.job} of the preset {weights.preset}, {weights.parameters:,} parameters"
        )
        print(f"  {weights.folder} ({_megabytes(weights.bytes)}), SHA-256 {weights.weights_sha256}")


@models_app.command("pull")
def pull(
    name: Annotated[str, typer.Argument(help="A preset of `likebut models ls`, or a preset's .json file.")],
    as_json: AsJson = False,
) -> None:
    """Fetch a preset's weights, with pip or from the Hugging Face hub; what is there already is not fetched again."""
    from likebut.models.preset import load_preset
    from likebut.models.pull import pull as pull_preset
    from likebut.models.pull import pull_from_hub

    preset = load_preset(name)
    outcome = [(item.name, item.part.folder, item.was_there) for item in pull_preset(preset)]
    outcome += [(source, folder, False) for source, folder in pull_from_hub(preset).items()]
    if as_json:
        print(json.dumps([{"name": n, "folder": str(folder), "was_there": there} for n, folder, there in outcome]))
        return
    if not outcome:
        print(f"{name} needs no weights.")
    for source, folder, there in outcome:
        print(f"{source}: {'already there' if there else 'pulled'}, {folder}")


def _print_preset(card: "PresetCard") -> None:
    print(f"{card.name}: {card.description}")
    print(
        f"Images of {card.image_size} pixels become {card.image_tokens} tokens; "
        f"{card.query_tokens} query tokens; embeddings of {card.embedding_size}."
    )
    for part in card.parts:
        origin = f"from {part.source}" if part.source else "random"
        count = "?" if part.parameters is None else f"{part.parameters:,}"
        print(f"  {part.part:<15} {count:>13} parameters  {part.kind}, {origin}")
    for source in card.sources:
        place = f"{source.folder} ({_megabytes(source.bytes)})" if source.folder else "not on this machine"
        print(f"{source.name}: {source.origin}; licence {source.licence}")
        print(f"  {source.package} {source.version}, SHA-256 {source.wheel_sha256}")
        print(f"  {place}")
    for hub in card.hub_sources:
        print(f"{hub.name}: {hub.hub} on the Hugging Face hub; licence {hub.licence}")
        print(f"  {hub.folder or 'not on this machine'}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
