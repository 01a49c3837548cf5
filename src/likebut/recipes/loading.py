"""Finding recipes, overriding single settings, and validation."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from likebut.errors import InputError
from likebut.files import write_bytes
from likebut.recipes.schema import GeneratorRecipe, Recipe, RetrieverRecipe
from likebut.settings import current_key, current_names, known_keys, parse_settings

_JOBS: dict[str, type[RetrieverRecipe] | type[GeneratorRecipe]] = {
    "train-retriever": RetrieverRecipe,
    "train-generator": GeneratorRecipe,
}


def recipe_files() -> dict[str, Path]:
    """Return the files of the recipes that ship with the package, by name."""
    folder = Path(str(files("likebut"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """A line of `likebut recipes ls`."""

    name: str
    job: str
    description: str


def list_recipes() -> list[RecipeSummary]:
    """Return a summary of each recipe that ships with the package, sorted by name."""
    summaries = []
    for name, path in recipe_files().items():
        values = _read_yaml(path)
        summaries.append(RecipeSummary(name, str(values.get("job")), str(values.get("description", ""))))
    return summaries


def find_recipe(name: str) -> Path:
    """Return the file of the recipe ``name``, which may itself be a file.

    Raises:
        InputError: There is no such recipe; the message suggests the closest name.
    """
    known = recipe_files()
    if name in known:
        return known[name]
    if Path(name).is_file():
        return Path(name)
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f'Did you mean "{near[0]}"?' if near else f"Recipes: {', '.join(known)}; or give a YAML file."
    raise InputError(f'There is no recipe "{name}".', remedy, "unknown-recipe")


def copy_recipe(name: str, destination: Path) -> None:
    """Copy the recipe ``name``, including comments, to ``destination``.

    Raises:
        InputError: There is no such recipe, or ``destination`` exists.
    """
    source = find_recipe(name)
    if destination.exists():
        raise InputError(f"{destination} already exists.", "Give another path, or remove it.", "file-exists")
    write_bytes(destination, source.read_bytes())


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load and validate a recipe.

    Args:
        name: Name of a recipe that ships with the package, or a YAML file.
        overrides: Settings to change: "training.batch_size=64".

    Raises:
        InputError: There is no such recipe, it is not valid YAML, or a key or value is invalid.
    """
    path = find_recipe(name)
    values = _read_yaml(path)
    job = values.get("job")
    if not isinstance(job, str) or job not in _JOBS:
        raise InputError(f'{path}: "job" is {job!r}.', f"Set it to one of: {', '.join(_JOBS)}.")
    values = with_overrides(values, overrides, known_keys(_JOBS[job]))
    where = f"{path} with {' '.join(f'--set {override}' for override in overrides)}" if overrides else str(path)
    return parse_settings(_JOBS[job], values, where)


def with_overrides(values: Mapping[str, Any], overrides: Sequence[str], known: set[str]) -> dict[str, Any]:
    """Return nested settings with overrides applied.

    Args:
        values: The nested settings.
        overrides: Settings to change: "training.batch_size=64".
        known: Dotted names of all settings.

    Raises:
        InputError: A key is unknown, or a value is invalid.
    """
    changed = dict(values)
    for override in overrides:
        _apply(changed, override, known)
    return changed


def _apply(values: dict[str, Any], override: str, known: set[str]) -> None:
    """Apply one override to nested ``values``, in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f'--set {override} has no "=".', "Write --set training.batch_size=64.")
    key = current_key(key)
    if key not in known:
        near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.5)
        remedy = f'Did you mean "{near[0]}"?' if near else f"Known keys: {', '.join(sorted(known))}."
        raise InputError(f'--set {override}: the key "{key}" is unknown.', remedy, "unknown-key")
    *parents, last = key.split(".")
    section = values
    for parent in parents:
        inner = section.get(parent)
        section[parent] = inner = dict(inner) if isinstance(inner, Mapping) else {}
        section = inner
    try:
        section[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise InputError(f'--set {override}: "{text}" is not a value.', "Write a number, a word or [a, b].") from None
    # The length of a training is steps or epochs: setting one replaces the other.
    alternative = {"steps": "epochs", "epochs": "steps"}.get(last)
    if alternative is not None and section[last] is not None:
        section.pop(alternative, None)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path} line {line} is not valid YAML: {error.problem}.", "Fix that line.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.", "Give a YAML recipe in UTF-8.") from None
    except (yaml.YAMLError, ValueError) as error:
        # PyYAML raises ValueError for an invalid date such as 2026-13-45.
        raise InputError(f"{path} is not valid YAML: {error}.", "Fix that value, or put it in quotes.") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} has no settings.", "Copy a recipe with `likebut recipes cp` and edit it.")
    return current_names(values)
