"""``likebut report panels``: queries beside what a retriever found, chosen by a stated rule, as one picture."""

from pathlib import Path
from typing import Annotated

import typer

from likebut.cli.measured_on import measured_on
from likebut.errors import InputError


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
    from likebut.cli.ranking import ModelOptions, evaluate_with_model
    from likebut.files import require_output_file
    from likebut.reports.panel_choice import choose_panels
    from likebut.reports.panels import write_panel_image

    require_output_file(picture)
    options = ModelOptions(model, device=device, features=features, allow_missing=allow_missing)
    _, ranked = evaluate_with_model(benchmarks, options)
    chosen = choose_panels(ranked, found, missed, seed)
    caption = f"{benchmarks[0].name} {benchmarks[0].split}, retriever {Path(model).name}. {chosen.rule}"
    write_panel_image(chosen.panels, picture, caption)
    print(chosen.rule)
    print(f"Wrote {picture}.")
