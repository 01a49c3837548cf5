"""Finding recipes, changing single values of one, and checking what it says."""

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
    """Return the recipes that ship with the package, by name."""
    folder = Path(str(files("likebut"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """What `likebut recipes ls` says of a recipe."""

    name: str
    job: str
    description: str


def list_recipes() -> list[RecipeSummary]:
    """Return a summary of every recipe that ships with the package, by name."""
    summaries = []
    for name, path in recipe_files().items():
        values = _read_yaml(path)
        summaries.append(RecipeSummary(name, str(values.get("job")), str(values.get("description", ""))))
    return summaries


def find_recipe(name: str) -> Path:
    """Return the file of the recipe called ``name``, which may itself be a file.

    Raises:
        InputError: There is no such recipe; the message names the near miss.
    """
    known = recipe_files()
    if name in known:
        return known[name]
    if Path(name).is_file():
        return Path(name)
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f'Did you mean "{near[0]}"?' if near else f"Recipes: {', '.join(known)}; or give a YAML file."
    raise InputError(f'There is no recipe "{name}".', remedy)


def copy_recipe(name: str, destination: Path) -> None:
    """Write the recipe called ``name``, comments included, to ``destination``.

    Raises:
        InputError: There is no such recipe, or ``destination`` exists.
    """
    source = find_recipe(name)
    if destination.exists():
        raise InputError(f"{destination} exists already.", "Give another name, or remove it.")
    write_bytes(destination, source.read_bytes())


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe, checked.

    Args:
        name: The name of a recipe that ships with the package, or a YAML file.
        overrides: "training.batch_size=64": single values to change, as on the command line.

    Raises:
        InputError: There is no such recipe, it is not YAML, or a key or a value is wrong.
    """
    path = find_recipe(name)
    values = _read_yaml(path)
    job = values.get("job")
    if not isinstance(job, str) or job not in _JOBS:
        raise InputError(f'{path}: "job" is {job!r}.', f"Set it to one of: {', '.join(_JOBS)}.")
    values = with_overrides(values, overrides, known_keys(_JOBS[job]))
    where = f"{path} with {' '.join(f'--set {override}' for override in overrides)}" if overrides else str(path)
    return parse_settings(_JOBS[job], values, where)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path} line {line} is not valid YAML: {error.problem}.", "Mend that line.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a YAML text.", "Give a recipe in UTF-8.") from None
    except (yaml.YAMLError, ValueError) as error:
        # PyYAML's own ValueError: a day or a number that there is not, as 2026-13-45.
        raise InputError(f"{path} is not valid YAML: {error}.", "Mend that value, or put it in quotes.") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no settings.", "Copy a recipe with `likebut recipes cp` and edit it.")
    return current_names(values)


def with_overrides(values: Mapping[str, Any], overrides: Sequence[str], known: set[str]) -> dict[str, Any]:
    """Return settings, nested by key, with single values changed.

    Args:
        values: What is said without them.
        overrides: "training.batch_size=64", as on the command line.
        known: The dotted name of every setting.

    Raises:
        InputError: A key is unknown, or a value is none.
    """
    changed = dict(values)
    for override in overrides:
        _apply(changed, override, known)
    return changed


def _apply(values: dict[str, Any], override: str, known: set[str]) -> None:
    """Set one value in nested ``values``, in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f'--set {override}: there is no "=".', "Write --set training.batch_size=64.")
    key = current_key(key)
    if key not in known:
        near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.5)
        remedy = f'Did you mean "{near[0]}"?' if near else f"Known keys: {', '.join(sorted(known))}."
        raise InputError(f'--set {override}: there is no key "{key}".', remedy)
    *parents, last = key.split(".")
    place = values
    for parent in parents:
        inner = place.get(parent)
        place[parent] = inner = dict(inner) if isinstance(inner, Mapping) else {}
        place = inner
    place[last] = _parsed(override, text)
    _drop_rival(place, last)


def _parsed(override: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise InputError(f'--set {override}: "{text}" is not a value.', "Write a number, a word or [a, b].") from None


def _drop_rival(place: dict[str, Any], key: str) -> None:
    """A training's length is steps or epochs: naming one on the command line replaces the other."""
    rivals = {"steps": "epochs", "epochs": "steps"}
    if key in rivals and place[key] is not None:
        place.pop(rivals[key], None)
