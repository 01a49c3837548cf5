"""HTML pages from templates: everything is escaped unless it is markup already."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from likebut.reports import wording
from likebut.reports.charts import DARK, LIGHT
from likebut.reports.panels import truth_of, verdict
from likebut.reports.pictures import EmbeddedPictures


def render_page(template: str, **values: Any) -> str:
    """Return a page with everything inside it: styles, charts, pictures.

    Args:
        template: A file of ``templates/``.
        values: What it shows.

    Raises:
        ImageError: A picture is missing or cannot be read.
    """
    environment = Environment(
        loader=PackageLoader("likebut", "reports/templates"),
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
