"""HTML pages from templates: everything is escaped unless it is markup already."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from likebut.files import write_text
from likebut.research.reports import wording
from likebut.research.reports.charts import DARK, LIGHT, bar_charts
from likebut.research.reports.contents import DemoContents
from likebut.research.reports.curves import curve_charts
from likebut.research.reports.embedded_images import EmbeddedPictures
from likebut.research.reports.panels import truth_of, verdict
from likebut.research.reports.summary import summarise
from likebut.research.reports.tables import result_table, settings_lines, synthesis_directions, time_shares


def render_page(template: str, **values: Any) -> str:
    """Return a page with everything inside it: styles, charts, pictures.

    Args:
        template: A file of ``templates/``.
        values: What it shows.

    Raises:
        ImageError: A picture is missing or cannot be read.
    """
    environment = Environment(
        loader=PackageLoader("likebut", "research/reports/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": wording.percent,
        "count": wording.count,
        "plural": wording.plural,
        "duration": wording.duration,
        "with_code": wording.with_code,
        "breakable": wording.breakable,
        "verdict": verdict,
        "truth": truth_of,
        "picture": EmbeddedPictures().uri,
    }
    page: str = environment.get_template(template).render(light=LIGHT.named(), dark=DARK.named(), **values)
    return page


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
