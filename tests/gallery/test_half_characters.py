"""Texts with half a surrogate pair, which no UTF-8 holds: from a command line in another encoding, or from JSON."""

from pathlib import Path

import pytest

from likebut.errors import InputError
from likebut.gallery.filters import parse_expressions
from likebut.gallery.gallery import Gallery
from likebut.gallery.requests import SearchRequest

HALF = "\ud83d"
FOREIGN = "caf\udce9"  # what Python makes of an argument in Latin-1


def test_metadata_is_refused_and_the_line_named(gallery: Gallery, folder: Path) -> None:
    table = folder / "metadata.jsonl"
    table.write_text('{"image": "0.png", "note": "good"}\n{"image": "1.png", "note": "bad \\ud83d"}\n')
    with pytest.raises(InputError, match=r'line 2: "note" is .*not UTF-8'):
        gallery.add(folder)
    table.write_text('{"image": "1.png", "note": ["a", "\\ud83d"]}\n')
    with pytest.raises(InputError, match=r'line 1: "note" is .*not UTF-8'):
        gallery.add(folder)
    table.write_text('{"image": "1.png", "\\ud83d": 3}\n')
    with pytest.raises(InputError, match="name .* of a metadata field is not UTF-8"):
        gallery.add(folder)
    assert len(gallery) == 0
    table.unlink()
    image_id = gallery.add(folder).ids[0]
    for values in ({"note": HALF}, {HALF: "x"}):
        with pytest.raises(InputError, match="not UTF-8"):
            gallery.set_metadata(image_id, values)
    assert gallery.image(image_id).metadata == {}


def test_searches_are_refused() -> None:
    for wrong in ({"text": HALF}, {"text": "red", "negative": FOREIGN}, {"image_ids": (FOREIGN,)}):
        with pytest.raises(InputError, match="not UTF-8"):
            SearchRequest(**wrong)


def test_filters_are_refused(gallery: Gallery, folder: Path) -> None:
    gallery.add(folder)
    for expression in (f"path~{FOREIGN}", f"path={FOREIGN}|red", f"{FOREIGN}=red"):
        with pytest.raises(InputError, match="not UTF-8|no field"):
            gallery.search(text="red", filters=parse_expressions([expression]))
