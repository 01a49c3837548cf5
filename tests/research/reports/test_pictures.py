import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from helpers.report_samples import write_picture
from likebut.errors import ImageError
from likebut.research.reports.embedded_images import EmbeddedPictures


def decoded(uri: str) -> Image.Image:
    kind, data = uri.split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_large_picture_is_made_small_in_proportion(tmp_path: Path) -> None:
    picture = decoded(EmbeddedPictures().uri(write_picture(tmp_path / "wide.png", "red", size=(704, 352))))
    assert picture.size == (176, 88)
    assert picture.convert("RGB").getpixel((88, 44)) == pytest.approx((255, 0, 0), abs=3)


def test_a_small_picture_stays_as_it_is(tmp_path: Path) -> None:
    assert decoded(EmbeddedPictures().uri(write_picture(tmp_path / "small.png", "red", size=(30, 20)))).size == (30, 20)


def test_a_picture_is_encoded_once(tmp_path: Path) -> None:
    pictures, path = EmbeddedPictures(), write_picture(tmp_path / "a.png", "red")
    first = pictures.uri(path)
    path.unlink()
    assert pictures.uri(path) is first


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no file .*gone\.png"):
        EmbeddedPictures().uri(tmp_path / "gone.png")
