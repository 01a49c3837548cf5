"""``likebut recipes``: list and copy the recipes that ship with the package."""

import json
from pathlib import Path
from typing import Annotated

import typer

from likebut.cli.options import AsJson

recipes_app = typer.Typer(name="recipes", help="List and copy the recipes of `likebut train`.", no_args_is_help=True)


@recipes_app.command("ls", epilog="Example: likebut recipes ls")
def ls(as_json: AsJson = False) -> None:
    """List the recipes."""
    from likebut.recipes.loading import list_recipes

    recipes = list_recipes()
    if as_json:
        print(json.dumps([{"name": item.name, "job": item.job, "description": item.description} for item in recipes]))
        return
    width = max(len(item.name) for item in recipes)
    for item in recipes:
        print(f"{item.name:<{width}}  {item.description}")


@recipes_app.command("cp", epilog="Example: likebut recipes cp retriever-small my-recipe.yaml")
def cp(
    name: Annotated[str, typer.Argument(help="A name from `likebut recipes ls`.")],
    file: Annotated[Path, typer.Argument(help="The file to write. It must not exist.")],
) -> None:
    """Copy a recipe, comments included, to edit it."""
    from likebut.recipes.loading import copy_recipe

    copy_recipe(name, file)
    print(f"Wrote {file}. Train with it: likebut train retriever|generator --recipe {file} --data FOLDER --out FOLDER")
