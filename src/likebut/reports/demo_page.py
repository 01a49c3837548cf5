"""The demo's report: one HTML file with everything in it."""

from pathlib import Path

from likebut.files import write_text
from likebut.reports.bars import bar_charts
from likebut.reports.contents import DemoContents
from likebut.reports.curves import curve_charts
from likebut.reports.page import render_page
from likebut.reports.summary import summarise
from likebut.reports.tables import result_table, settings_lines, synthesis_directions, time_shares


def write_demo_page(contents: DemoContents, path: Path) -> None:
    """Write the report to ``path``, atomically.

    Raises:
        InputError: A picture or a metrics log is missing or damaged.
    """
    page = render_page(
        "demo.html",
        contents=contents,
        summary=summarise(contents),
        table=result_table(contents.rows),
        bars=bar_charts(contents.rows),
        curves=curve_charts(contents.rows),
        synthesis=synthesis_directions(contents.synthesis),
        times=time_shares(contents.seconds),
        settings=settings_lines(contents.settings),
    )
    write_text(path, page)
