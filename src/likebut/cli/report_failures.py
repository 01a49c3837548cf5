"""``likebut report failures``: which queries a retriever fails at, by kind of change."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def failures(
    data: Annotated[Path, typer.Argument(help="A data folder with attributes.jsonl, as `likebut data` writes it.")],
    split: Annotated[str, typer.Option(help="Whose queries.")] = "val",
    model: Annotated[str, typer.Option(help="A trained retriever: a name or a folder.")] = "small",
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count hits by what differs between reference and target: colour, pattern, print, cut, type."""
    from likebut.data_folder import DataFolder

    # What is not there is said before any model is loaded.
    attributes = DataFolder.open(data).attributes()
    from likebut.benchmarks.folder import load_folder
    from likebut.cli.ranking import ModelOptions, evaluate_with_model
    from likebut.reports.failures import by_kind_of_change

    _, ranked = evaluate_with_model(load_folder(data, split), ModelOptions(model, device=device, features=features))
    rows = by_kind_of_change(ranked, attributes)
    if as_json:
        print(json.dumps({"split": split, "kinds": [asdict(row) for row in rows]}))
        return
    print(f"{'what changes':<18} {'queries':>7} {'first':>7} {'first ten':>10}")
    for row in rows:
        print(f"{row.name:<18} {row.queries:>7} {row.first:>6.1f}% {row.among_ten:>9.1f}%")
