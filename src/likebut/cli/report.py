"""``likebut report ablations``: the paper's ablations, run or gone on with, as tables and figures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likebut.cli.options import measured_on
from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.generator.decoding import Decoding
    from likebut.research.ablations.plan import AblationSettings
    from likebut.research.ablations.results import Outcome
    from likebut.research.reports.contents import GroundingResult, WrittenText


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
    from likebut.data.folder import DataFolder
    from likebut.files import require_output_folder, write_json, write_text
    from likebut.research.ablations.experiment import Experiment
    from likebut.research.ablations.plan import Place
    from likebut.research.reports.ablations import draw_figures, markdown_page, markdown_table

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
    from likebut.recipes.loading import with_overrides
    from likebut.research.ablations.plan import SIZES, AblationSettings, sized, with_fine_tuning_steps
    from likebut.settings import known_keys, parse_settings

    if size not in SIZES:
        raise InputError(f'There is no size "{size}".', f"Choose one of: {', '.join(SIZES)}.")
    values = sized(size, preset) | (with_fine_tuning_steps(steps) if steps else {}) | given
    values = with_overrides(values, overrides, known_keys(AblationSettings))
    return parse_settings(AblationSettings, values, "The command line")


def _print_plan(settings: "AblationSettings", as_json: bool) -> None:
    from likebut.research.ablations.plan import plan, trainings

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
    from likebut.research.reports.ablations import headline, summary_line

    if as_json:
        print(json.dumps({"folder": str(out), **outcome.to_json()}, ensure_ascii=False))
        return
    for ablation in outcome.ablations:
        print(ablation.title)
        for row in ablation.rows:
            print(f"  {headline(row)}")
    print(f"Tables and figures: {out / 'ablations.md'}")
    print(summary_line(outcome))


def failures(
    data: Annotated[Path, typer.Argument(help="A data folder with attributes.jsonl, as `likebut data` writes it.")],
    split: Annotated[str, typer.Option(help="Whose queries.")] = "val",
    model: Annotated[str, typer.Option(help="A trained retriever: a name or a folder.")] = "small",
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count hits by what differs between reference and target: colour, pattern, print, cut, type."""
    from likebut.data.folder import DataFolder

    # What is not there is said before any model is loaded.
    attributes = DataFolder.open(data).attributes()
    from likebut.evaluation.benchmarks.folder import load_folder
    from likebut.evaluation.evaluator import CIREvaluator
    from likebut.models.devices import require_device
    from likebut.research.reports.failures import by_kind_of_change
    from likebut.retriever.retriever import Retriever

    require_device(device)
    evaluator = CIREvaluator(load_folder(data, split), feature_folder=features)
    _, ranked = evaluator.evaluate(Retriever.from_pretrained(model, device))
    rows = by_kind_of_change(ranked, attributes)
    if as_json:
        print(json.dumps({"split": split, "kinds": [asdict(row) for row in rows]}))
        return
    print(f"{'what changes':<18} {'queries':>7} {'first':>7} {'first ten':>10}")
    for row in rows:
        print(f"{row.name:<18} {row.queries:>7} {row.first:>6.1f}% {row.among_ten:>9.1f}%")


def panels(
    picture: Annotated[Path, typer.Argument(help="The PNG file to write.")],
    data: Annotated[Path | None, typer.Option(help="A data folder.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="clothing, cirr, …, instead of --data.")] = None,
    root: Annotated[Path | None, typer.Option(help="The benchmark's folder.")] = None,
    split: Annotated[str | None, typer.Option(help="test for a data folder, val for a benchmark.")] = None,
    model: Annotated[str, typer.Option(help="A trained retriever: a name or a folder.")] = "small",
    found: Annotated[int, typer.Option(min=0, help="Panels of queries whose target is in first place.")] = 4,
    missed: Annotated[int, typer.Option(min=0, help="Panels of queries whose target is beyond place 10.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the lot.")] = 0,
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on without the images that are missing.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
) -> None:
    """Draw queries by lot, some that were found and some that were missed, with their first results."""
    if found + missed == 0:
        raise InputError("No panel was asked for.", "Give --found or --missed.")
    # Written texts and derived queries are parts of clothing that are not mixed.
    protocol = "pairs" if benchmark == "clothing" else None
    benchmarks = measured_on(data, benchmark, root, split, protocol, None)
    from likebut.evaluation.evaluator import CIREvaluator
    from likebut.files import require_output_file
    from likebut.models.devices import require_device
    from likebut.research.reports.panels import choose_panels, write_panel_image
    from likebut.retriever.retriever import Retriever

    require_output_file(picture)
    require_device(device)
    evaluator = CIREvaluator(benchmarks, feature_folder=features, allow_missing=allow_missing)
    _, ranked = evaluator.evaluate(Retriever.from_pretrained(model, device))
    chosen = choose_panels(ranked, found, missed, seed)
    caption = f"{benchmarks[0].name} {benchmarks[0].split}, retriever {Path(model).name}. {chosen.rule}"
    write_panel_image(chosen.panels, picture, caption)
    print(chosen.rule)
    print(f"Wrote {picture}.")


def samples(
    out: Annotated[Path, typer.Argument(help="A PNG file, or a folder for samples.png; .md and .json lie beside it.")],
    data: Annotated[Path, typer.Option(help="A data folder.")],
    split: Annotated[str, typer.Option(help="Whose pairs; the generator should not have seen them.")] = "val",
    generator: Annotated[str, typer.Option(help="A trained generator: a name or a folder.")] = "small",
    count: Annotated[int, typer.Option(min=1, help="How many pairs, drawn by lot.")] = 40,
    seed: Annotated[int, typer.Option(help="Of the lot.")] = 0,
    length: Annotated[str, typer.Option(help="Of the texts: short, medium or long.")] = "medium",
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
) -> None:
    """Draw pairs by lot and show what a generator writes about them, beside the data folder's own texts."""
    from likebut.data.folder import DataFolder
    from likebut.files import require_output_file, write_json, write_text
    from likebut.generator.generator import ModificationGenerator
    from likebut.research.reports.written_samples import (
        GridCell,
        draw_pairs,
        markdown_listing,
        write_sample_grid,
        write_samples,
    )

    picture = out if out.suffix.lower() == ".png" else out / "samples.png"
    require_output_file(picture)
    folder = DataFolder.open(data)
    pairs = draw_pairs(folder, split, count, seed)
    writer = ModificationGenerator.from_pretrained(generator)
    decoding = writer.own_decoding.with_length(length)
    found = write_samples(writer, folder, pairs, decoding, features)
    images = folder.images()
    cells = [
        GridCell(images[sample.reference].path, images[sample.target].path, sample.written, sample.human or "")
        for sample in found
    ]
    size = write_sample_grid(cells, picture)
    rule = f"{count} pairs of the split {split}, drawn by lot (seed {seed}), whatever came of them."
    about = {"rule": rule, "generator": Path(generator).name, "decoding": decoding.model_dump()}
    write_json(picture.with_suffix(".json"), about | {"samples": [asdict(sample) for sample in found]})
    write_text(picture.with_suffix(".md"), markdown_listing(found, rule))
    print(rule)
    print(f"Wrote {picture} ({size} bytes), and .md and .json beside it.")


_OwnTexts = Annotated[
    bool, typer.Option("--own-texts", help="Measure the folder's own texts instead: a figure to compare with.")
]
_Decoding = Annotated[
    str | None,
    typer.Option(help="beam, greedy, nucleus or consensus, with no repetition penalty; else the generator's own."),
]


def grounding(
    data: Annotated[Path, typer.Argument(help="What `likebut data sample` or `likebut data clothing` made.")],
    generator: Annotated[str, typer.Option(help="A trained generator: a name, a folder, a hub id.")] = "small",
    split: Annotated[str, typer.Option(help="Whose pairs; the generator should not have seen them.")] = "test",
    own_texts: _OwnTexts = False,
    decoding: _Decoding = None,
    pairs: Annotated[int, typer.Option(min=1, help="At most this many pairs, drawn by lot.")] = 400,
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the changes that written texts claim with what truly changed; blind are texts of other pairs."""
    from likebut.data.folder import DataFolder
    from likebut.features.cache import default_feature_folder
    from likebut.generator.generator import ModificationGenerator
    from likebut.research.demo.training import Workplace
    from likebut.research.grounding import measure_own_texts, measure_truthfulness

    told = None if decoding is None else _decoding(decoding)
    folder = DataFolder.open(data)
    # What is not there is said before the generator is loaded.
    folder.queries(split)
    folder.attributes()
    if own_texts:
        result, samples = measure_own_texts(folder, split, pairs)
    else:
        place = Workplace(data, folder, features or default_feature_folder())
        writer = ModificationGenerator.from_pretrained(generator)
        result, samples = measure_truthfulness(writer, place, split, pairs, told or writer.own_decoding)
    if as_json:
        print(json.dumps(asdict(result) | {"skipped": [image.to_json() for image in result.skipped]}))
        return
    _print_grounding(result, samples, split)


def _print_grounding(result: "GroundingResult", samples: "list[WrittenText]", split: str) -> None:
    from likebut.cli.output import skipped_lines

    print(f"{result.pairs} pairs of the split {split}")
    print(
        f"  attribute changes: precision {result.precision:.1f} %, recall {result.recall:.1f} %, F1 {result.f1:.1f} %"
    )
    print(f"  blind (texts of other pairs): F1 {result.blind_f1:.1f} %")
    for line in skipped_lines(result.skipped, "the output of --json"):
        print(line)
    for sample in samples:
        print(f'  "{sample.written}"  (true: {"; ".join(sample.changes)})')


def _decoding(method: str) -> "Decoding":
    from likebut.generator.decoding import Decoding
    from likebut.research.grounding import GREEDY
    from likebut.settings import parse_settings

    return parse_settings(Decoding, GREEDY.model_dump() | {"method": method}, "The command line")


_PANELS_IN_PICTURE = 4

report_app = typer.Typer(
    name="report",
    help="Reports: the demo's page, ablations, failures by kind, panels, samples of texts.",
    no_args_is_help=True,
)
report_app.command("ablations")(ablations)
report_app.command("failures")(failures)
report_app.command("grounding")(grounding)
report_app.command("panels")(panels)
report_app.command("samples")(samples)


@report_app.callback()
def report() -> None:
    """Reports: the demo's page, ablations, failures by kind, panels, samples of texts."""


@report_app.command("demo")
def demo(
    folder: Annotated[Path, typer.Argument(help="The demo's folder, with its demo.json.")],
    picture: Annotated[Path | None, typer.Option(help="Also write the first panels as one PNG.")] = None,
) -> None:
    """Draw FOLDER/report.html from FOLDER/demo.json."""
    from likebut.research.reports.contents import read_contents
    from likebut.research.reports.page import write_demo_page
    from likebut.research.reports.panels import write_panel_image

    contents = read_contents(folder / "demo.json")
    path = folder / "report.html"
    write_demo_page(contents, path)
    print(f"Wrote {path}.")
    if picture is not None:
        write_panel_image(contents.panels[:_PANELS_IN_PICTURE], picture)
        print(f"Wrote {picture}.")
