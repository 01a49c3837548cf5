"""``likebut demo``: the whole method on drawings that likebut renders itself."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from likebut.research.reports.contents import DemoContents
    from likebut.research.reports.summary import Score


_TABLE_METRICS = ("Recall@1", "Recall@5", "Recall@10", "Recall_subset@1", "mAP@10")


def demo(
    out: Annotated[Path, typer.Option(help="Folder for images, models and the report (about 3.5 GB).")] = Path("demo"),
    fast: Annotated[
        bool, typer.Option("--fast", help="A smaller run of about two minutes; its metrics are noisy.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Also one hop and SPRC, and three seeds per row.")] = False,
    train_generator: Annotated[
        bool, typer.Option("--train-generator", help="Train the generator instead of using the published one.")
    ] = False,
    preset: Annotated[
        str, typer.Option(help="small; or tiny, which has random weights and needs no download.")
    ] = "small",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table as JSON (means over seeds). OUT/demo.json has everything.")
    ] = False,
) -> None:
    """Run the whole method: render images, write texts, pretrain, fine-tune, evaluate, search.

    If interrupted, the same command resumes.
    """
    from likebut.cli.output import print_stage
    from likebut.files import require_output_folder
    from likebut.research.demo import settings as sizes
    from likebut.research.demo.run import Demo
    from likebut.research.reports.contents import write_contents
    from likebut.research.reports.page import write_demo_page
    from likebut.research.reports.summary import score_of

    require_output_folder(out, "the demo")
    settings = sizes.tiny() if preset == "tiny" else sizes.fast() if fast else sizes.standard()
    changes: dict[str, object] = {} if preset == "tiny" else {"preset": preset}
    if full:
        changes |= {"all_rows": True, "seeds": 3}
    if train_generator:
        changes["generator"] = None
    contents = Demo(out, settings.model_copy(update=changes), print_stage).run()
    write_contents(contents, out / "demo.json")
    write_demo_page(contents, out / "report.html")
    if not as_json:
        _print_table(contents, out / "report.html")
        return
    means: dict[str, dict[str, float]] = {}
    for row in contents.rows:
        scores = {name: score_of(row, name) for name in row.metrics[0]}
        means[row.name] = {name: score.value for name, score in scores.items() if score is not None}
    print(json.dumps(means))


def _print_table(contents: "DemoContents", page: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from likebut.research.reports.summary import score_of

    table = Table(title=f"{contents.queries} composed queries over a gallery of {contents.gallery} images")
    table.add_column("")
    for name in _TABLE_METRICS:
        table.add_column(name, justify="right")
    for row in contents.rows:
        table.add_row(row.name, *(_cell(score_of(row, name)) for name in _TABLE_METRICS))
    console = Console()
    console.print(table)
    if contents.grounding is not None:
        grounding = contents.grounding
        console.print(
            f"Generated texts: attribute F1 {grounding.f1:.1f} % on {grounding.pairs} held-out pairs; "
            f"shuffled-image control {grounding.shuffled_f1:.1f} %."
        )
    console.print(f"Report: {page}", soft_wrap=True)
    console.print(f"Next: {contents.next_step}", soft_wrap=True, markup=False)


def _cell(score: "Score | None") -> str:
    if score is None:
        return "–"
    return f"{score.value:.1f}" if score.spread is None else f"{score.value:.1f} ± {score.spread:.1f}"
