"""Text output that several commands share: skipped images and evaluation reports."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from likebut.data.images import SkippedImage
    from likebut.evaluation.report import EvaluationReport


_LISTED = 10
IN_JSON = "the output of --json"


def print_stage(stage: str) -> None:
    """Print the current stage of a long command to standard error."""
    import typer

    typer.echo(f"— {stage}", err=True)


def skipped_lines(images: "Sequence[SkippedImage]", full_list: str = IN_JSON) -> list[str]:
    """Return lines that count the skipped images and list the first ones with the reason; none if none was skipped.

    Args:
        images: The skipped images.
        full_list: Where the complete list is.
    """
    if not images:
        return []
    lines = [f"{len(images)} {'image' if len(images) == 1 else 'images'} skipped:"]
    lines += [f"  {image.name}: {image.reason}" for image in images[:_LISTED]]
    if len(images) > _LISTED:
        lines.append(f"  … and {len(images) - _LISTED} more, listed in {full_list}.")
    return lines


def print_report(report: "EvaluationReport", as_json: bool) -> None:
    """Print an evaluation report to standard output."""
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("metric")
    table.add_column("%", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, value in report.metrics.items():
        low, high = report.intervals[name]
        table.add_row(name, f"{value:.2f}", f"{low:.2f} … {high:.2f}")
    sizes = ", ".join(
        f"{part + ': ' if part else ''}{count} queries, gallery {report.gallery[part] or 'unknown'}"
        for part, count in report.queries.items()
    )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{report.benchmark} {report.split} ({sizes})")
    template = "" if report.query_template is None else f", query template {report.query_template}"
    console.print(f"protocol {report.protocol}, labels {report.labels}{template}")
    console.print(table)
    for note in report.notes:
        console.print(f"Note: {note}")
    for line in skipped_lines(report.skipped):
        console.print(line)
