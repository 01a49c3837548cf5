"""Printing an evaluation's figures: one JSON object, or a table with the metrics in the order of the papers."""

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from likebut.cli.set_aside import set_aside_lines

if TYPE_CHECKING:
    from likebut.benchmarks.report import EvaluationReport


def print_report(report: "EvaluationReport", as_json: bool) -> None:
    """Print a report on standard output."""
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    sizes = ", ".join(
        f"{part + ': ' if part else ''}{count} queries, gallery {report.gallery[part] or 'unknown'}"
        for part, count in report.queries.items()
    )
    console.print(f"{report.benchmark} {report.split} ({sizes})")
    console.print(f"protocol {report.protocol}, labels {report.labels}")
    console.print(_table(report))
    for note in report.notes:
        console.print(f"Note: {note}")
    for line in set_aside_lines(report.set_aside, "the output of --json"):
        console.print(line)


def _table(report: "EvaluationReport") -> Table:
    table = Table("metric")
    table.add_column("%", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, value in report.metrics.items():
        low, high = report.intervals[name]
        table.add_row(name, f"{value:.2f}", f"{low:.2f} … {high:.2f}")
    return table
