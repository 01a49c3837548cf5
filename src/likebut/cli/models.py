"""``likebut models``: the parts that models are made of, and the weights that ship with the package."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.cli.convert import convert
from likebut.cli.export import export
from likebut.cli.preset import preset as preset_file

if TYPE_CHECKING:
    from likebut.backbones.catalogue import PresetCard

models_app = typer.Typer(
    name="models", help="Show and fetch presets' parts and published weights.", no_args_is_help=True
)
models_app.command("convert")(convert)
models_app.command("export")(export)
models_app.command("preset")(preset_file)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models_app.command("ls")
def ls(as_json: AsJson = False) -> None:
    """List the presets and the weights that ship with the package, and say what is on this machine."""
    from likebut.backbones.catalogue import list_models

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
    from likebut.backbones.catalogue import describe_preset, describe_weights
    from likebut.backbones.preset import load_preset

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
    from likebut.backbones.preset import load_preset
    from likebut.backbones.pull import pull as pull_preset
    from likebut.backbones.pull import pull_from_hub

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
