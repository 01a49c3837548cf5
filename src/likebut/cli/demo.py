"""``likebut demo``: the paper's whole pipeline on pictures that likebut draws itself."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from likebut.research.demo.settings import DemoSettings
    from likebut.research.reports.contents import DemoContents, RowResult
    from likebut.research.reports.summary import Score


_Out = Annotated[Path, typer.Option(help="Where pictures, trainings and the report go; about 3.5 GB.")]
_Fast = Annotated[bool, typer.Option("--fast", help="About two minutes at reduced size; the figures mean little.")]
_Full = Annotated[bool, typer.Option("--full", help="One hop and SPRC too, and three seeds of every row.")]
_Train = Annotated[
    bool, typer.Option("--train-generator", help="Train the generator too, instead of taking the published one.")
]
_Preset = Annotated[str, typer.Option(help="small; or tiny, which needs no download and learns nothing.")]
_AsJson = Annotated[
    bool, typer.Option("--json", help="Print the table as one JSON object, means over seeds; DEMO/demo.json has all.")
]


def demo(
    out: _Out = Path("demo"),
    fast: _Fast = False,
    full: _Full = False,
    train_generator: _Train = False,
    preset: _Preset = "small",
    as_json: _AsJson = False,
) -> None:
    """Show the whole method at work: pictures, written texts, pretraining, fine-tuning, a table, a search.

    Stopped, it goes on from there when the same command runs again.
    """
    from likebut.files import require_output_folder
    from likebut.research.demo.run import Demo
    from likebut.research.reports.contents import write_contents
    from likebut.research.reports.page import write_demo_page

    require_output_folder(out, "the demo")
    contents = Demo(out, _settings(fast, full, train_generator, preset), _say).run()
    write_contents(contents, out / "demo.json")
    write_demo_page(contents, out / "report.html")
    if as_json:
        print(json.dumps({row.name: _means(row) for row in contents.rows}))
    else:
        _print(contents, out / "report.html")


def _means(row: "RowResult") -> dict[str, float]:
    """Return the row's figures as the table shows them: means over seeds, of the metrics that every seed has."""
    from likebut.research.reports.summary import score_of

    scores = {name: score_of(row, name) for name in row.metrics[0]}
    return {name: score.value for name, score in scores.items() if score is not None}


def _settings(fast: bool, full: bool, train_generator: bool, preset: str) -> "DemoSettings":
    from likebut.research.demo import settings as sizes

    chosen = sizes.tiny() if preset == "tiny" else sizes.fast() if fast else sizes.standard()
    changes: dict[str, object] = {} if preset == "tiny" else {"preset": preset}
    if full:
        changes |= {"all_rows": True, "seeds": 3}
    if train_generator:
        changes["generator"] = None
    return chosen.model_copy(update=changes)


def _say(stage: str) -> None:
    typer.echo(f"— {stage}", err=True)


def _print(contents: "DemoContents", page: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from likebut.research.reports.summary import score_of

    shown = ("Recall@1", "Recall@5", "Recall@10", "Recall_subset@1", "mAP@10")
    table = Table(title=f"{contents.queries} composed queries over a gallery of {contents.gallery} pictures")
    table.add_column("")
    for name in shown:
        table.add_column(name, justify="right")
    for row in contents.rows:
        table.add_row(row.name, *(_cell(score_of(row, name)) for name in shown))
    console = Console()
    console.print(table)
    if contents.grounding is not None:
        grounding = contents.grounding
        console.print(
            f"Written texts: attribute F1 {grounding.f1:.1f} % on {grounding.pairs} held-out pairs; "
            f"shuffled-image control {grounding.shuffled_f1:.1f} %."
        )
    console.print(f"Report: {page}", soft_wrap=True)
    console.print(f"Next: {contents.next_step}", soft_wrap=True, markup=False)


def _cell(score: "Score | None") -> str:
    if score is None:
        return "–"
    return f"{score.value:.1f}" if score.spread is None else f"{score.value:.1f} ± {score.spread:.1f}"
