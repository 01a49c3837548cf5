"""``likebut recipes``: the recipes that ship with the package, to look at and to copy."""

import json
from pathlib import Path
from typing import Annotated

import typer

recipes_app = typer.Typer(
    name="recipes", help="Show or copy the recipes that `likebut train` follows.", no_args_is_help=True
)


@recipes_app.command("ls")
def ls(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List the recipes."""
    from likebut.recipes.loading import list_recipes

    recipes = list_recipes()
    if as_json:
        print(json.dumps([{"name": item.name, "job": item.job, "description": item.description} for item in recipes]))
        return
    width = max(len(item.name) for item in recipes)
    for item in recipes:
        print(f"{item.name:<{width}}  {item.description}")


@recipes_app.command("cp")
def cp(
    name: Annotated[str, typer.Argument(help="A recipe of `likebut recipes ls`.")],
    file: Annotated[Path, typer.Argument(help="Where to put the copy; it must not exist.")],
) -> None:
    """Copy a recipe, comments included, so that you can edit it."""
    from likebut.recipes.loading import copy_recipe

    copy_recipe(name, file)
    print(f"Wrote {file}. Train with it: likebut train retriever|generator --recipe {file} --data FOLDER --out FOLDER")
