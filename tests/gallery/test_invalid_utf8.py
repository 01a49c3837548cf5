"""Strings with a lone surrogate, which UTF-8 cannot encode: from a command line in another encoding, or from JSON."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likebut.errors import InputError
from likebut.gallery.filters import parse_expressions
from likebut.gallery.gallery import Gallery
from likebut.gallery.requests import SearchRequest

LONE = "\ud83d"
LATIN_1 = "caf\udce9"  # a command-line argument in Latin-1


def refused(action: Callable[[], object]) -> InputError:
    with pytest.raises(InputError) as error:
        action()
    assert error.value.code == "not-utf8"
    return error.value


def test_metadata_is_refused_and_the_line_named(gallery: Gallery, folder: Path) -> None:
    table = folder / "metadata.jsonl"
    table.write_text('{"image": "0.png", "note": "good"}\n{"image": "1.png", "note": "bad \\ud83d"}\n')
    assert 'line 2: "note"' in refused(lambda: gallery.add(folder)).problem
    table.write_text('{"image": "1.png", "note": ["a", "\\ud83d"]}\n')
    assert 'line 1: "note"' in refused(lambda: gallery.add(folder)).problem
    table.write_text('{"image": "1.png", "\\ud83d": 3}\n')
    refused(lambda: gallery.add(folder))
    assert len(gallery) == 0
    table.unlink()
    image_id = gallery.add(folder).ids[0]
    refused(lambda: gallery.set_metadata(image_id, {"note": LONE}))
    refused(lambda: gallery.set_metadata(image_id, {LONE: "x"}))
    assert gallery.image(image_id).metadata == {}


@pytest.mark.parametrize("wrong", [{"text": LONE}, {"text": "red", "negative": LATIN_1}, {"image_ids": (LATIN_1,)}])
def test_search_requests_are_refused(wrong: dict[str, Any]) -> None:
    refused(lambda: SearchRequest(**wrong))


@pytest.mark.parametrize("expression", [f"path~{LATIN_1}", f"path={LATIN_1}|red"])
def test_filters_are_refused(gallery: Gallery, folder: Path, expression: str) -> None:
    gallery.add(folder)
    refused(lambda: gallery.search(text="red", filters=parse_expressions([expression])))
    with pytest.raises(InputError):
        gallery.search(text="red", filters=parse_expressions([f"{LATIN_1}=red"]))
