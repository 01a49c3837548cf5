"""Search results as one HTML file that needs nothing else."""

import base64
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from likebut.gallery.gallery import Gallery
from likebut.gallery.requests import Hit


def contact_sheet(gallery: Gallery, hits: Sequence[Hit], title: str) -> str:
    """Return hits as an HTML page with their thumbnails in it; whatever text they carry is shown as text."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string((files("likebut.gallery") / "contact_sheet.html").read_text(encoding="utf-8"))
    shown: list[dict[str, Any]] = [
        {**hit.to_json(), "thumbnail": base64.b64encode(gallery.thumbnail(hit.id)).decode()} for hit in hits
    ]
    return template.render(title=title, hits=shown)
