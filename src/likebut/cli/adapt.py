"""``likebut adapt``: a folder of images in, a retriever that knows them out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likebut.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from likebut.adapt.result import AdaptResult

_METRICS = ("mAP@10", "Recall@1", "Recall@10")


def adapt(
    folder: Annotated[Path, typer.Argument(help="The images, with metadata.csv, captions, folder names, or nothing.")],
    out: Annotated[Path, typer.Option(help="Where the run and its result go; then a model's name everywhere.")],
    base: Annotated[str, typer.Option(help="What to start from: published weights, a retriever, a preset.")] = "small",
    text: Annotated[
        list[str] | None,
        typer.Option(help="A metadata column to read, instead of all that look like texts. Repeatable."),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Roughly how long it may take on this machine.")] = 15.0,
    gallery: Annotated[str | None, typer.Option(help="A gallery to index with the result.")] = None,
    writer: Annotated[
        str, typer.Option(help="Who names images without text: auto, retriever, generator or none.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of every choice.")] = 0,
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Teach a retriever a collection by the texts that the collection has. Stopped, the same command goes on."""
    if minutes <= 0:
        raise InputError(f"--minutes is {minutes}.", "Give a number above 0.")
    if writer not in ("auto", "retriever", "generator", "none"):
        raise InputError(f'There is no writer "{writer}".', "Choose auto, retriever, generator or none.")
    from likebut.adapt.run import adapt as run

    result = run(folder, out, base, text, minutes, gallery, writer, seed, features=features, say=_say)
    if as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        _print(result, gallery)


def _say(line: str) -> None:
    typer.echo(line if line.startswith(" ") else f"— {line}", err=True)


def _print(result: "AdaptResult", gallery: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if result.before:
        table = Table(title=result.measured_on)
        for name in ("", "base", "result"):
            table.add_column(name, justify="right" if name else "left")
        for name in _METRICS:
            table.add_row(name, _cell(result.before, name), _cell(result.after, name))
        console.print(table)
    print(result.reason)
    for warning in result.warnings:
        print(f"warning: {warning}")
    print(f"Report: {result.folder / 'report.html'}")
    place = gallery or "GALLERY"
    if gallery is None:
        print(f"Next: likebut index FOLDER --gallery {place} --model {result.folder}")
    print(f"Then: likebut search --gallery {place} --image FOLDER/some.jpg --text 'what should be different'")


def _cell(metrics: "Mapping[str, Any]", name: str) -> str:
    if name not in metrics:
        return "–"
    low, high = metrics[f"{name} interval"]
    return f"{metrics[name]:.1f} ({low:.1f}–{high:.1f})"
