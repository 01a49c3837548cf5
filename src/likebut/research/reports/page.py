"""The report as one HTML file, rendered from templates; everything that is not markup is escaped."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from likebut.files import write_text
from likebut.research.reports import wording
from likebut.research.reports.charts import DARK, LIGHT, bar_charts
from likebut.research.reports.contents import DemoContents
from likebut.research.reports.curves import curve_charts
from likebut.research.reports.embedded_images import EmbeddedImages
from likebut.research.reports.panels import truth_of, verdict
from likebut.research.reports.summary import summarise
from likebut.research.reports.tables import result_table, settings_lines, synthesis_directions, time_fractions


def render_page(template: str, **values: Any) -> str:
    """Return a self-contained page: styles, charts and images are embedded.

    Args:
        template: A file of ``templates/``.
        values: The template's variables.

    Raises:
        ImageError: An image is missing or cannot be read.
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
        "data_uri": EmbeddedImages().uri,
    }
    page: str = environment.get_template(template).render(light=LIGHT.named(), dark=DARK.named(), **values)
    return page


def write_demo_page(contents: DemoContents, path: Path) -> None:
    """Write the report to ``path``, atomically.

    Raises:
        InputError: An image or a metrics log is missing or damaged.
    """
    page = render_page(
        "demo.html",
        contents=contents,
        summary=summarise(contents),
        table=result_table(contents.rows),
        bars=bar_charts(contents.rows),
        curves=curve_charts(contents.rows),
        synthesis=synthesis_directions(contents.synthesis),
        times=time_fractions(contents.seconds),
        settings=settings_lines(contents.settings),
    )
    write_text(path, page)
