"""``likebut report ablations``: the paper's ablations, run or gone on with, as tables and figures."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.ablations.results import Outcome
    from likebut.ablations.settings import AblationSettings

_Data = Annotated[Path, typer.Argument(help="A data folder: what `likebut data clothing` wrote, say.")]
_Out = Annotated[Path, typer.Option(help="Where trainings, tables and figures go.")]
_Also = Annotated[
    list[Path] | None, typer.Option(help="A further data folder whose triplets join every fine-tuning. Repeatable.")
]
_Preset = Annotated[str, typer.Option(help="Which pretrained parts; tiny shows in a minute that everything runs.")]
_Generator = Annotated[str, typer.Option(help="Who writes the synthetic triplets: a name or a folder.")]
_Init = Annotated[str | None, typer.Option(help="A trained retriever that every training starts from.")]
_Only = Annotated[list[str] | None, typer.Option(help="One ablation instead of all. Repeatable.")]
_Seeds = Annotated[int, typer.Option(min=1, help="How often each row is trained.")]
_Size = Annotated[str, typer.Option(help="full, half or quick: pool and steps.")]
_Steps = Annotated[int | None, typer.Option(min=1, help="Fine-tuning steps; pretraining takes half as many again.")]
_Set = Annotated[list[str] | None, typer.Option("--set", help="Change one setting: pool=1000. Repeatable.")]
_Jobs = Annotated[int, typer.Option(min=1, max=64, help="Trainings at a time; worth it on a GPU alone.")]
_Features = Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")]
_Plan = Annotated[bool, typer.Option("--plan", help="Say which trainings it takes, and stop.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def ablations(
    data: _Data,
    out: _Out,
    also: _Also = None,
    preset: _Preset = "small",
    generator: _Generator = "small",
    init: _Init = None,
    only: _Only = None,
    seeds: _Seeds = 3,
    size: _Size = "full",
    steps: _Steps = None,
    overrides: _Set = None,
    jobs: _Jobs = 1,
    features: _Features = None,
    plan_only: _Plan = False,
    as_json: _AsJson = False,
) -> None:
    """Run the paper's ablations, or go on with them; a training is done once, whichever ablations it is part of."""
    given = {"generator": generator, "init": init, "seeds": seeds} | ({"only": only} if only else {})
    settings = _settings(preset, size, steps, given, overrides or [])
    if plan_only:
        _print_plan(settings, as_json)
        return
    from likebut.ablations.experiment import Experiment
    from likebut.ablations.place import Place
    from likebut.data_folder import DataFolder
    from likebut.files import require_output_folder, write_json, write_text
    from likebut.reports.ablation_figures import draw_figures
    from likebut.reports.ablation_tables import markdown_page, markdown_table

    require_output_folder(out, "the ablations")
    place = Place(DataFolder.open(data), out, tuple(also or ()), features)
    outcome = Experiment(place, settings, _say).run(jobs)
    write_json(out / "results.json", outcome.to_json())
    for ablation in outcome.ablations:
        write_text(out / "tables" / f"{ablation.name}.md", markdown_table(ablation))
    draw_figures(outcome.ablations, out / "figures")
    write_text(out / "ablations.md", markdown_page(outcome))
    _print(outcome, out, as_json)


def _settings(
    preset: str, size: str, steps: int | None, given: dict[str, Any], overrides: list[str]
) -> "AblationSettings":
    from likebut.ablations.settings import SIZES, AblationSettings, of_length, sized
    from likebut.recipes.loading import with_overrides
    from likebut.settings import known_keys, parse_settings

    if size not in SIZES:
        raise InputError(f'There is no size "{size}".', f"Choose one of: {', '.join(SIZES)}.")
    values = sized(size, preset) | (of_length(steps) if steps else {}) | given
    values = with_overrides(values, overrides, known_keys(AblationSettings))
    return parse_settings(AblationSettings, values, "The command line")


def _print_plan(settings: "AblationSettings", as_json: bool) -> None:
    from likebut.ablations.plan import plan, trainings

    planned = plan(settings)
    different = trainings(planned)
    steps = sum(training.steps for training in different)
    rows = {ablation.name: [row.label for row in ablation.rows] for ablation in planned}
    if as_json:
        print(json.dumps({"trainings": len(different), "steps": steps, "rows": rows}, ensure_ascii=False))
        return
    for name, labels in rows.items():
        print(f"{name}: {'; '.join(labels)}")
    print(f"{len(different)} different trainings, {steps} steps of {settings.batch_size} triplets.")


def _say(line: str) -> None:
    typer.echo(f"— {line}", err=True)


def _print(outcome: "Outcome", out: Path, as_json: bool) -> None:
    from likebut.reports.ablation_tables import headline, summary_line

    if as_json:
        print(json.dumps({"folder": str(out), **outcome.to_json()}, ensure_ascii=False))
        return
    for ablation in outcome.ablations:
        print(ablation.title)
        for row in ablation.rows:
            print(f"  {headline(row)}")
    print(f"Tables and figures: {out / 'ablations.md'}")
    print(summary_line(outcome))
