"""``likebut train``: train a retriever or a generator by a recipe."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.errors import InputError
from likebut.files import require_output_folder

if TYPE_CHECKING:
    from likebut.recipes.schema import DataSettings
    from likebut.training.run import TrainingRun

train_app = typer.Typer(
    name="train",
    help="Train a retriever or a generator by a recipe (`likebut recipes ls`). The same command resumes an interrupted "
    "training.",
    no_args_is_help=True,
)

_Data = Annotated[Path | None, typer.Option(help="The data folder or the benchmark's folder; data.root of the recipe.")]
_Also = Annotated[list[Path] | None, typer.Option(help="A further data folder to train on. Repeatable.")]
_Out = Annotated[Path, typer.Option(help="Folder for checkpoints, metrics and the model.")]
_Set = Annotated[list[str] | None, typer.Option("--set", help="Change one value: training.batch_size=64. Repeatable.")]
_Synthetic = Annotated[
    list[Path] | None, typer.Option(help="A folder of shards from `likebut synthesize`. Repeatable.")
]
_Features = Annotated[Path | None, typer.Option(help="The cache of vision tokens.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")]


@train_app.command("retriever", epilog="Example: likebut train retriever --data my-data --out runs/my-model")
def retriever(
    out: _Out,
    recipe: Annotated[str, typer.Option(help="The name of a recipe, or a YAML file.")] = "retriever-small",
    data: _Data = None,
    also: _Also = None,
    init: Annotated[str | None, typer.Option(help="A trained retriever to start from.")] = None,
    synthetic: _Synthetic = None,
    reverse_texts: Annotated[
        Path | None, typer.Option(help="Reverse texts for the human triplets: `likebut synthesize --reverse-for`.")
    ] = None,
    overrides: _Set = None,
    features: _Features = None,
    as_json: _AsJson = False,
) -> None:
    """Train a retriever. It is saved in OUT/retriever; commands that take a model accept OUT."""
    from likebut.recipes.loading import load_recipe
    from likebut.recipes.schema import RetrieverRecipe

    chosen = load_recipe(recipe, overrides or ())
    if not isinstance(chosen, RetrieverRecipe):
        raise InputError(f"The recipe {recipe} is for {chosen.job}.", "Use `likebut train generator`.", "other-job")
    require_output_folder(out, "the training")
    found = _with_options(chosen.data, root=data, also=also, synthetic=synthetic, reverse_texts=reverse_texts)
    chosen = chosen.model_copy(update={"data": found} | ({"initial_weights": init} if init else {}))
    from likebut.models.process_group import process_group
    from likebut.training.datasets import gather
    from likebut.training.train_retriever import train_retriever

    with process_group() as process:
        dataset = gather(chosen.data, captions=chosen.captions.steps > 0, reverse=chosen.needs_reverse_texts)
        run = train_retriever(chosen, dataset, out, features)
        if process.is_main_process:
            _print(run, as_json, dataset.left_out)


@train_app.command("generator", epilog="Example: likebut train generator --data my-data --out runs/my-generator")
def generator(
    out: _Out,
    recipe: Annotated[str, typer.Option(help="The name of a recipe, or a YAML file.")] = "generator-small",
    data: _Data = None,
    also: _Also = None,
    init: Annotated[str | None, typer.Option(help="A trained generator to start from.")] = None,
    init_retriever: Annotated[
        str | None, typer.Option(help="A trained retriever whose query encoder to start from.")
    ] = None,
    overrides: _Set = None,
    features: _Features = None,
    as_json: _AsJson = False,
) -> None:
    """Train a generator. It is saved in OUT/generator; commands that take a generator accept OUT."""
    from likebut.recipes.loading import load_recipe
    from likebut.recipes.schema import GeneratorRecipe

    starts = {"initial_weights": init, "initial_retriever": init_retriever}
    # A JSON string is a YAML string whatever the path looks like ("null", "2026-11-28", "run #2").
    given = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in starts.items() if value is not None]
    chosen = load_recipe(recipe, [*(overrides or ()), *given])
    if not isinstance(chosen, GeneratorRecipe):
        raise InputError(f"The recipe {recipe} is for {chosen.job}.", "Use `likebut train retriever`.", "other-job")
    require_output_folder(out, "the training")
    chosen = chosen.model_copy(update={"data": _with_options(chosen.data, root=data, also=also)})
    from likebut.models.process_group import process_group
    from likebut.training.datasets import gather
    from likebut.training.train_generator import train_generator

    with process_group() as process:
        dataset = gather(chosen.data, captions=chosen.stage_steps > 0)
        run = train_generator(chosen, dataset, out, features)
        if process.is_main_process:
            _print(run, as_json)


def _with_options(settings: "DataSettings", **given: Path | list[Path] | None) -> "DataSettings":
    """Return the data settings of a recipe with the values given on the command line."""
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items() if value}
    return settings.model_copy(update=values)


def _print(run: "TrainingRun", as_json: bool, left_out: int = 0) -> None:
    from likebut.cli.output import skipped_lines

    result = run.result
    if as_json:
        about = {"model": str(run.folder), "steps": result.steps, "triplets": run.triplets}
        best = {} if result.best_step is None else {"best_step": result.best_step, "best_value": result.best_value}
        left = {"left_out": left_out} if left_out else {}
        skipped = [image.to_json() for image in run.skipped]
        print(json.dumps(about | left | best | {"skipped": skipped}, ensure_ascii=False))
        return
    print(f"{run.folder}: {result.steps} steps on {run.triplets} triplets")
    if left_out:
        print(f"  left out: {left_out} more, whose reverse modification texts did not pass the filters")
    if result.best_step is not None:
        print(f"  best weights: step {result.best_step}, {result.best_value:.2f} by the recipe's best_metric")
    for line in skipped_lines(run.skipped, "the output of --json"):
        print(line)
