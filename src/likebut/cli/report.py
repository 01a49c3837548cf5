"""``likebut report``: pages, figures and pictures of what models do."""

from pathlib import Path
from typing import Annotated

import typer

from likebut.cli.ablations import ablations
from likebut.cli.grounding import grounding
from likebut.cli.report_failures import failures
from likebut.cli.report_panels import panels
from likebut.cli.report_samples import samples

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
    from likebut.reports.contents_json import read_contents
    from likebut.reports.demo_page import write_demo_page
    from likebut.reports.panels import write_panel_image

    contents = read_contents(folder / "demo.json")
    path = folder / "report.html"
    write_demo_page(contents, path)
    print(f"Wrote {path}.")
    if picture is not None:
        write_panel_image(contents.panels[:_PANELS_IN_PICTURE], picture)
        print(f"Wrote {picture}.")
