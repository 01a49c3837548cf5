"""``likebut models``: presets and published weights, conversion, export and upload of trained models."""

import json
import shutil
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.cli.options import AsJson
from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.models.catalogue import PresetCard


models_app = typer.Typer(
    name="models", help="Show and download models; convert, export and upload trained ones.", no_args_is_help=True
)


class Job(StrEnum):
    """What a model was trained for."""

    RETRIEVER = "retriever"
    GENERATOR = "generator"


class ExportPrecision(StrEnum):
    """The precision of exported weights."""

    FP16 = "fp16"
    FP32 = "fp32"


class Kind(StrEnum):
    """The architecture of a published retriever."""

    PTHA = "ptha"
    SPRC = "sprc"


class PoolingName(StrEnum):
    """The pooling of a retriever's hop two."""

    PUBLISHED = "published"
    CLS = "cls"
    MASKED_MEAN = "masked-mean"


_Model = Annotated[str, typer.Argument(help="A trained model: a folder, a published name or a hub id.")]
_JobArgument = Annotated[Job, typer.Argument(metavar="JOB", help="retriever or generator.")]


@models_app.command("ls", epilog="Example: likebut models ls")
def ls(as_json: AsJson = False) -> None:
    """List presets and published weights, and whether they are on this machine."""
    from likebut.models.catalogue import list_models

    lines = list_models()
    if as_json:
        print(json.dumps([line.model_dump() for line in lines], indent=2))
        return
    width = max(len(line.name) for line in lines)
    for line in lines:
        state = "ready" if line.ready else f"pull {_megabytes(line.download_bytes)}" if line.download_bytes else "hub"
        print(f"{line.name:<{width}}  {state:<12} {_megabytes(line.bytes):>8}  {line.description}")


@models_app.command("info", epilog="Example: likebut models info small")
def info(
    name: Annotated[str, typer.Argument(help="A name from `likebut models ls`, or a preset's .json file.")],
    as_json: AsJson = False,
) -> None:
    """Show the parts, sizes, sources and licences of a preset or of published weights."""
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
        print(f"{weights.name}: {weights.job} with the preset {weights.preset}, {weights.parameters:,} parameters")
        print(f"  {weights.folder} ({_megabytes(weights.bytes)}), SHA-256 {weights.weights_sha256}")


@models_app.command("pull", epilog="Example: likebut models pull small")
def pull(
    name: Annotated[str, typer.Argument(help="A preset from `likebut models ls`, or a preset's .json file.")],
    as_json: AsJson = False,
) -> None:
    """Download a preset's pretrained weights, with pip or from the Hugging Face hub, unless they are present."""
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
        print(f"{source}: {'already present' if there else 'downloaded'}, {folder}")


@models_app.command(
    "preset", epilog="Example: likebut models preset small --vision google/siglip2-base-patch16-224 --out mine.json"
)
def preset(
    name: Annotated[str, typer.Argument(help="The preset to start from.")],
    out: Annotated[Path, typer.Option(help="The .json file to write. It must not exist.")],
    vision: Annotated[
        str | None,
        typer.Option(help="Replace the vision encoder: a hub id (CLIP, SigLIP 2, DINOv3, …) or a local folder."),
    ] = None,
) -> None:
    """Write a preset to a file, to edit it and use it wherever a preset's name is accepted."""
    from likebut.files import write_json
    from likebut.models.preset import load_preset

    _require_new(out, "file")
    if out.suffix != ".json":
        raise InputError(
            f"{out} does not end in .json.", "Use that suffix: it marks a preset file.", code="wrong-suffix"
        )
    chosen = load_preset(name)
    if vision is not None:
        from likebut.models.loading import with_vision

        chosen = with_vision(chosen, vision)
    write_json(out, chosen.model_dump(mode="json", exclude_none=True))
    print(f"{out}: {chosen.vision.tokens} image tokens of width {chosen.vision.width}.")


@models_app.command("convert", epilog="Example: likebut models convert ptha_cirr.pth --job retriever --out ptha-cirr")
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth, .pt or .safetensors file with LAVIS parameter names.")],
    job: Annotated[Job, typer.Option(help="What the checkpoint was trained for.")],
    out: Annotated[Path, typer.Option(help="The model folder to write. It must not exist.")],
    preset: Annotated[
        str | None, typer.Option(help="The preset of the frozen parts. Default: the paper's, where sizes match.")
    ] = None,
    kind: Annotated[Kind, typer.Option(help="The architecture of a retriever.")] = Kind.PTHA,
    pooling: Annotated[
        PoolingName | None, typer.Option(help="Pooling of hop two. Default: the release's (cls for sprc).")
    ] = None,
    stage_one: Annotated[
        bool, typer.Option("--stage-one", help="A BLIP-2 stage-one checkpoint; prompt tokens are initialised randomly.")
    ] = False,
    heads: Annotated[
        int | None, typer.Option(help="Attention heads of the query encoder. Default: width / 64.")
    ] = None,
    vision_heads: Annotated[
        int | None, typer.Option(help="Attention heads of the vision encoder. Default: width / 64.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Convert a published checkpoint (BLIP-2 stage one, SPRC, MTST, PTHA) to a model folder.

    Every key is mapped or ignored by name; an unknown or missing key is an error. No code in the file is executed.
    """
    from likebut.files import atomic_path
    from likebut.models.checkpoint_file import read_checkpoint
    from likebut.models.preset import load_preset

    _require_new(out, "folder")
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
    used = len(content.tensors) - len(ignored)
    if as_json:
        print(json.dumps({"folder": str(out), "used": used, "ignored": ignored}, indent=2))
        return
    print(f"{out}: {used} tensors used.")
    for group, count in Counter(".".join(name.split(".")[:2]) for name in ignored).items():
        print(f"  ignored: {group} ({count} tensors)")


@models_app.command("export", epilog="Example: likebut models export runs/my-model retriever my-model-fp16")
def export(
    model: _Model,
    job: _JobArgument,
    out: Annotated[Path, typer.Argument(help="The model folder to write. It must not exist.")],
    precision: Annotated[ExportPrecision, typer.Option(help="fp16 halves the file size.")] = ExportPrecision.FP16,
) -> None:
    """Write a self-contained model folder: the trained weights, and frozen parts that only this machine has."""
    import torch

    from likebut.files import atomic_path
    from likebut.models.model_folder import (
        find_model_folder,
        read_model_folder,
        save_model_folder,
        with_parts_beside,
    )

    _require_new(out, "folder")
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


@models_app.command("push", epilog="Example: likebut models push runs/my-model retriever my-name/my-model --private")
def push(
    model: _Model,
    job: _JobArgument,
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="The hub id to upload to: OWNER/NAME.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload a trained model to the Hugging Face hub; OWNER/NAME then works wherever a model is named.

    Sign in first: `hf auth login`.
    """
    from likebut.models.model_folder import find_model_folder, read_model_folder
    from likebut.models.publishing import push_to_hub

    source = find_model_folder(model, job)
    read_model_folder(source, job)  # a damaged folder is not uploaded
    class_name = {Job.RETRIEVER: "Retriever", Job.GENERATOR: "ModificationGenerator"}[job]

    def save(folder: Path) -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True)

    url = push_to_hub(save, repository, class_name, private)
    print(json.dumps({"repository": repository, "commit": url}) if as_json else f"Uploaded {source} to {url}.")


def _require_new(path: Path, what: str) -> None:
    if path.exists():
        raise InputError(f"{path} already exists.", f"Give the name of a new {what}.", code="already-exists")


def _print_preset(card: "PresetCard") -> None:
    print(f"{card.name}: {card.description}")
    print(
        f"Images of {card.image_size} pixels become {card.image_tokens} tokens; "
        f"{card.query_tokens} query tokens; embeddings of width {card.embedding_size}."
    )
    for part in card.parts:
        origin = f"from {part.source}" if part.source else "random"
        count = "?" if part.parameters is None else f"{part.parameters:,}"
        print(f"  {part.part:<15} {count:>13} parameters  {part.kind}, {origin}")
    for source in card.sources:
        print(f"{source.name}: {source.origin}; licence {source.licence}")
        print(f"  {source.package} {source.version}, SHA-256 {source.wheel_sha256}")
        print(f"  {source.folder} ({_megabytes(source.bytes)})" if source.folder else "  not on this machine")
    for hub in card.hub_sources:
        print(f"{hub.name}: {hub.hub} on the Hugging Face hub; licence {hub.licence}")
        print(f"  {hub.folder or 'not on this machine'}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
