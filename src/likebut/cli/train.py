"""``likebut train``: a retriever or a generator, by a recipe."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.errors import InputError
from likebut.files import require_output_folder

if TYPE_CHECKING:
    from likebut.data.images import SkippedImage
    from likebut.recipes.schema import DataSettings
    from likebut.training.loop import TrainingResult


train_app = typer.Typer(
    name="train",
    help="Train a retriever or a generator by a recipe (`likebut recipes ls`). Stopped at any moment, the same command "
    "goes on from there.",
    no_args_is_help=True,
)

_Data = Annotated[Path | None, typer.Option(help="The data folder, or the benchmark's; data.root of the recipe.")]
_Also = Annotated[
    list[Path] | None, typer.Option(help="A further data folder to learn from at the same time. Repeatable.")
]
_Out = Annotated[Path, typer.Option(help="Where checkpoints, figures and the model go.")]
_Set = Annotated[list[str] | None, typer.Option("--set", help="Change one value: training.batch_size=64. Repeatable.")]
_Synthetic = Annotated[
    list[Path] | None, typer.Option(help="A folder of shards that `likebut synthesize` wrote. Repeatable.")
]
_Features = Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")]


@train_app.command("retriever", epilog="Example: likebut train retriever --data my-data --out runs/my-model")
def retriever(
    out: _Out,
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a YAML file.")] = "retriever-small",
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
    """Train a retriever; the result is in OUT/retriever, and OUT can be given wherever a model is asked for."""
    from likebut.recipes.loading import load_recipe
    from likebut.recipes.schema import RetrieverRecipe

    chosen = load_recipe(recipe, overrides or ())
    if not isinstance(chosen, RetrieverRecipe):
        raise InputError(f"The recipe {recipe} is for {chosen.job}.", "Use `likebut train generator`.")
    require_output_folder(out, "the training")
    found = _with_options(chosen.data, root=data, also=also, synthetic=synthetic, reverse_texts=reverse_texts)
    chosen = chosen.model_copy(update={"data": found} | ({"initial_weights": init} if init else {}))
    from likebut.training.datasets import gather
    from likebut.training.evaluation import evaluation_while_training
    from likebut.training.train_retriever import start_retriever, train_retriever

    gathered = gather(chosen.data, captions=chosen.captions.steps > 0, reverse=chosen.needs_reverse_texts)
    model = start_retriever(chosen)
    watch = evaluation_while_training(chosen, model, features) if chosen.training.evaluate_every else None
    evaluate, measured_on = (watch.measure, watch.measured_on) if watch else (None, "")
    run = train_retriever(chosen, gathered, out, features, evaluate, model, measured_on)
    skipped = list(dict.fromkeys([*run.skipped, *(watch.skipped if watch else ())]))
    _print(run.folder, run.result, run.triplets, skipped, as_json, gathered.left_out)


@train_app.command("generator", epilog="Example: likebut train generator --data my-data --out runs/my-generator")
def generator(
    out: _Out,
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a YAML file.")] = "generator-small",
    data: _Data = None,
    also: _Also = None,
    init: Annotated[str | None, typer.Option(help="A trained generator to start from.")] = None,
    init_retriever: Annotated[
        str | None, typer.Option(help="A trained retriever whose query encoder is started from.")
    ] = None,
    overrides: _Set = None,
    features: _Features = None,
    as_json: _AsJson = False,
) -> None:
    """Train a generator; the result is in OUT/generator, and OUT can be given wherever a generator is asked for."""
    from likebut.recipes.loading import load_recipe
    from likebut.recipes.schema import GeneratorRecipe

    starts = {"initial_weights": init, "initial_retriever": init_retriever}
    # A JSON string is a YAML one, whatever the path looks like ("null", "2026-11-28", "run #2").
    given = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in starts.items() if value is not None]
    chosen = load_recipe(recipe, [*(overrides or ()), *given])
    if not isinstance(chosen, GeneratorRecipe):
        raise InputError(f"The recipe {recipe} is for {chosen.job}.", "Use `likebut train retriever`.")
    require_output_folder(out, "the training")
    chosen = chosen.model_copy(update={"data": _with_options(chosen.data, root=data, also=also)})
    from likebut.training.datasets import gather
    from likebut.training.train_generator import train_generator

    gathered = gather(chosen.data, captions=chosen.stage_steps > 0)
    run = train_generator(chosen, gathered, out, features)
    _print(run.folder, run.result, run.triplets, run.skipped, as_json)


def _with_options(settings: "DataSettings", **given: Path | list[Path] | None) -> "DataSettings":
    """Return a recipe's data settings with what the command line says instead."""
    said = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items() if value}
    return settings.model_copy(update=said)


def _print(
    folder: Path,
    result: "TrainingResult",
    triplets: int,
    skipped: "list[SkippedImage]",
    as_json: bool,
    left_out: int = 0,
) -> None:
    from likebut.cli.output import skipped_lines

    if as_json:
        about = {"model": str(folder), "steps": result.steps, "triplets": triplets}
        best = {} if result.best_step is None else {"best_step": result.best_step, "best_value": result.best_value}
        images = [image.to_json() for image in skipped]
        left = {"left_out": left_out} if left_out else {}
        print(json.dumps(about | left | best | {"skipped": images}, ensure_ascii=False))
        return
    print(f"{folder}: {result.steps} steps on {triplets} triplets")
    if left_out:
        print(f"  {left_out} more were left out: no reverse modification text of theirs was kept")
    if result.best_step is not None:
        print(f"  the weights after step {result.best_step}, the best by the recipe's metric ({result.best_value:.2f})")
    for line in skipped_lines(skipped, "the output of --json"):
        print(line)
