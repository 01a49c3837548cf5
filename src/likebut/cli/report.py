"""``likebut report``: ablations, errors by kind of change, grounding of generated texts, figures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.cli.options import (
    AllowMissing,
    AsJson,
    Device,
    FeatureFolder,
    GeneratorName,
    RetrieverName,
    load_evaluation_data,
)
from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.research.ablations.results import AblationOutcomes


report_app = typer.Typer(
    name="report", help="Studies: ablations, errors by kind of change, grounding, figures.", no_args_is_help=True
)

_PANELS_IN_IMAGE = 4

_Seed = Annotated[int, typer.Option(help="Random seed of the sample.")]
_WrittenSplit = Annotated[str, typer.Option(help="Split of the pairs; the generator must not be trained on it.")]


@report_app.callback()
def report() -> None:
    """Studies: ablations, errors by kind of change, grounding, figures."""


@report_app.command("ablations", epilog="Example: likebut report ablations clothing --out ablations --size quick")
def ablations(
    data: Annotated[Path, typer.Argument(help="A data folder, for example one of `likebut data clothing`.")],
    out: Annotated[Path, typer.Option(help="Folder for models, tables and figures.")],
    also: Annotated[
        list[Path] | None, typer.Option(help="A further data folder to include in every fine-tuning. Repeatable.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Preset; tiny checks in a minute that everything runs.")] = "small",
    generator: GeneratorName = "small",
    init: Annotated[str | None, typer.Option(help="A trained retriever that every training starts from.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Run only this ablation. Repeatable.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds per row.")] = 3,
    size: Annotated[str, typer.Option(help="full, half or quick: pool size and number of steps.")] = "full",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Fine-tuning steps; pretraining takes 1.5 times as many.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change one setting: pool=1000. Repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Concurrent trainings; useful on a GPU only.")] = 1,
    features: FeatureFolder = None,
    plan_only: Annotated[bool, typer.Option("--plan", help="Print the trainings it takes and exit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the paper's ablations. Rows share trainings; if interrupted, the same command resumes."""
    from likebut.recipes.loading import with_overrides
    from likebut.research.ablations.plan import (
        SIZES,
        AblationFolders,
        AblationSettings,
        plan,
        sized,
        trainings,
        with_fine_tuning_steps,
    )
    from likebut.settings import known_keys, parse_settings

    if size not in SIZES:
        raise InputError(f'Unknown size "{size}".', f"Choose one of: {', '.join(SIZES)}.", code="unknown-size")
    values = sized(size, preset) | (with_fine_tuning_steps(steps) if steps else {})
    values |= {"generator": generator, "init": init, "seeds": seeds} | ({"only": only} if only else {})
    values = with_overrides(values, overrides or [], known_keys(AblationSettings))
    settings = parse_settings(AblationSettings, values, "The command line")
    if plan_only:
        planned = plan(settings)
        distinct = trainings(planned)
        total_steps = sum(training.steps for training in distinct)
        rows = {ablation.name: [row.label for row in ablation.rows] for ablation in planned}
        if as_json:
            print(json.dumps({"trainings": len(distinct), "steps": total_steps, "rows": rows}, ensure_ascii=False))
            return
        for name, labels in rows.items():
            print(f"{name}: {'; '.join(labels)}")
        print(f"{len(distinct)} distinct trainings, {total_steps} steps of {settings.batch_size} triplets.")
        return
    from likebut.cli.output import print_stage
    from likebut.data.folder import DataFolder
    from likebut.files import require_output_folder
    from likebut.research.ablations.experiment import Experiment
    from likebut.research.reports.ablations import write_ablation_report

    require_output_folder(out, "the ablations")
    folders = AblationFolders(DataFolder.open(data), out, tuple(also or ()), features)
    outcome = Experiment(folders, settings, print_stage).run(jobs)
    write_ablation_report(outcome, out)
    _print_ablations(outcome, out, as_json)


def _print_ablations(outcome: "AblationOutcomes", out: Path, as_json: bool) -> None:
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


@report_app.command("demo", epilog="Example: likebut report demo demo")
def demo(
    folder: Annotated[Path, typer.Argument(help="The folder of `likebut demo`, with its demo.json.")],
    picture: Annotated[Path | None, typer.Option(help="Also write the first panels to this PNG file.")] = None,
) -> None:
    """Write FOLDER/report.html from FOLDER/demo.json."""
    from likebut.research.reports.contents import read_contents
    from likebut.research.reports.page import write_demo_page
    from likebut.research.reports.panels import write_panel_image

    contents = read_contents(folder / "demo.json")
    path = folder / "report.html"
    write_demo_page(contents, path)
    print(f"Wrote {path}.")
    if picture is not None:
        write_panel_image(contents.panels[:_PANELS_IN_IMAGE], picture)
        print(f"Wrote {picture}.")


@report_app.command("failures", epilog="Example: likebut report failures clothing --model my-model")
def failures(
    data: Annotated[Path, typer.Argument(help="A data folder with attributes.jsonl, as `likebut data` writes it.")],
    split: Annotated[str, typer.Option(help="Split of the queries.")] = "val",
    model: RetrieverName = "small",
    features: FeatureFolder = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Show Recall@1 and Recall@10 by the attribute that changes: colour, pattern, print, cut, type."""
    from likebut.data.folder import DataFolder

    attributes = DataFolder.open(data).attributes()  # missing files are reported before a model is loaded
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
    print(f"{'change':<18} {'queries':>7} {'Recall@1':>9} {'Recall@10':>10}")
    for row in rows:
        print(f"{row.name:<18} {row.queries:>7} {row.first:>8.1f}% {row.among_ten:>9.1f}%")


@report_app.command("panels", epilog="Example: likebut report panels panels.png --data my-data --split val")
def panels(
    image: Annotated[Path, typer.Argument(help="The PNG file to write.")],
    data: Annotated[Path | None, typer.Option(help="A data folder.")] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="A benchmark instead: cirr, fashioniq, circo or clothing.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="The benchmark's folder.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: test for a data folder, val for a benchmark.")] = None,
    model: RetrieverName = "small",
    found: Annotated[int, typer.Option(min=0, help="Number of queries whose target has rank 1.")] = 4,
    missed: Annotated[int, typer.Option(min=0, help="Number of queries whose target has a rank above 10.")] = 4,
    seed: _Seed = 0,
    features: FeatureFolder = None,
    allow_missing: AllowMissing = False,
    device: Device = None,
) -> None:
    """Draw a random sample of successful and failed queries with their first results."""
    if found + missed == 0:
        raise InputError("--found and --missed are both 0.", "Increase one of them.", code="no-panels")
    # The human and the derived queries of clothing are two protocols, which one image does not mix.
    protocol = "pairs" if benchmark == "clothing" else None
    benchmarks = load_evaluation_data(data, benchmark, root, split, protocol)
    from likebut.evaluation.evaluator import CIREvaluator
    from likebut.files import require_output_file
    from likebut.models.devices import require_device
    from likebut.research.reports.panels import choose_panels, write_panel_image
    from likebut.retriever.retriever import Retriever

    require_output_file(image)
    require_device(device)
    evaluator = CIREvaluator(benchmarks, feature_folder=features, allow_missing=allow_missing)
    _, ranked = evaluator.evaluate(Retriever.from_pretrained(model, device))
    chosen = choose_panels(ranked, found, missed, seed)
    caption = f"{benchmarks[0].name} {benchmarks[0].split}, retriever {Path(model).name}. {chosen.rule}"
    write_panel_image(chosen.panels, image, caption)
    print(chosen.rule)
    print(f"Wrote {image}.")


@report_app.command("samples", epilog="Example: likebut report samples samples.png --data clothing --count 20")
def samples(
    out: Annotated[
        Path, typer.Argument(help="A PNG file, or a folder for samples.png. A .md and a .json file go next to it.")
    ],
    data: Annotated[Path, typer.Option(help="A data folder.")],
    split: _WrittenSplit = "val",
    generator: GeneratorName = "small",
    count: Annotated[int, typer.Option(min=1, help="Number of pairs.")] = 40,
    seed: _Seed = 0,
    length: Annotated[str, typer.Option(help="Length of the texts: short, medium or long.")] = "medium",
    features: FeatureFolder = None,
) -> None:
    """Show the texts that a generator writes for a random sample of pairs, next to the data folder's own texts."""
    from likebut.data.folder import DataFolder
    from likebut.files import require_output_file, write_json, write_text
    from likebut.generator.generator import ModificationGenerator
    from likebut.research.reports.written_samples import (
        GridCell,
        markdown_listing,
        sample_pairs,
        write_sample_grid,
        write_samples,
    )

    image = out if out.suffix.lower() == ".png" else out / "samples.png"
    require_output_file(image)
    folder = DataFolder.open(data)
    pairs = sample_pairs(folder, split, count, seed)
    writer = ModificationGenerator.from_pretrained(generator)
    decoding = writer.config.decoding(length=length)
    written = write_samples(writer, folder, pairs, decoding, features)
    images = folder.images()
    cells = [
        GridCell(images[sample.reference].path, images[sample.target].path, sample.written, sample.human or "")
        for sample in written
    ]
    size = write_sample_grid(cells, image)
    rule = f"A random sample of {count} pairs of the split {split} (seed {seed}), all shown."
    about = {"rule": rule, "generator": Path(generator).name, "decoding": decoding.model_dump()}
    write_json(image.with_suffix(".json"), about | {"samples": [asdict(sample) for sample in written]})
    write_text(image.with_suffix(".md"), markdown_listing(written, rule))
    print(rule)
    print(f"Wrote {image} ({size} bytes), and a .md and a .json file next to it.")


@report_app.command(
    "grounding", epilog="Example: likebut report grounding clothing --generator my-generator --split val"
)
def grounding(
    data: Annotated[Path, typer.Argument(help="A data folder of `likebut data sample` or `likebut data clothing`.")],
    generator: GeneratorName = "small",
    split: _WrittenSplit = "test",
    own_texts: Annotated[
        bool, typer.Option("--own-texts", help="Measure the data folder's own texts instead, for comparison.")
    ] = False,
    decoding: Annotated[
        str | None,
        typer.Option(help="beam, greedy, nucleus or consensus, without repetition penalty. Default: the generator's."),
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="Size of the random sample of pairs.")] = 400,
    features: FeatureFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compare the changes that generated texts state with the true ones. The control shuffles the images."""
    from likebut.cli.output import skipped_lines
    from likebut.data.folder import DataFolder
    from likebut.generator.decoding import Decoding
    from likebut.generator.generator import ModificationGenerator
    from likebut.research.grounding import GREEDY, measure_generator, measure_own_texts
    from likebut.settings import parse_settings

    override = None
    if decoding is not None:
        override = parse_settings(Decoding, GREEDY.model_dump() | {"method": decoding}, "The command line")
    folder = DataFolder.open(data)
    # Missing files are reported before the generator is loaded.
    folder.queries(split)
    folder.attributes()
    if own_texts:
        result, written = measure_own_texts(folder, split, pairs)
    else:
        writer = ModificationGenerator.from_pretrained(generator)
        chosen = override or writer.config.decoding()
        result, written = measure_generator(writer, folder, features, split, pairs, chosen)
    if as_json:
        print(json.dumps(asdict(result) | {"skipped": [image.to_json() for image in result.skipped]}))
        return
    print(f"{result.pairs} pairs of the split {split}")
    print(
        f"  attribute changes: precision {result.precision:.1f} %, recall {result.recall:.1f} %, F1 {result.f1:.1f} %"
    )
    print(f"  shuffled-image control: F1 {result.shuffled_f1:.1f} %")
    for line in skipped_lines(result.skipped):
        print(line)
    for sample in written:
        print(f'  "{sample.written}"  (true: {"; ".join(sample.changes)})')
