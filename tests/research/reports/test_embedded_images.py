import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from helpers.report_samples import write_picture
from likebut.errors import ImageError
from likebut.research.reports.embedded_images import EmbeddedImages


def decoded(uri: str) -> Image.Image:
    kind, data = uri.split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_large_image_is_reduced_in_proportion(tmp_path: Path) -> None:
    image = decoded(EmbeddedImages().uri(write_picture(tmp_path / "wide.png", "red", size=(704, 352))))
    assert image.size == (176, 88)
    assert image.convert("RGB").getpixel((88, 44)) == pytest.approx((255, 0, 0), abs=3)


def test_a_small_image_is_unchanged(tmp_path: Path) -> None:
    assert decoded(EmbeddedImages().uri(write_picture(tmp_path / "small.png", "red", size=(30, 20)))).size == (30, 20)


def test_an_image_is_encoded_once(tmp_path: Path) -> None:
    images, path = EmbeddedImages(), write_picture(tmp_path / "a.png", "red")
    first = images.uri(path)
    path.unlink()
    assert images.uri(path) is first


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as error:
        EmbeddedImages().uri(tmp_path / "gone.png")
    assert "gone.png" in str(error.value)
