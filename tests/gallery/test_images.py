import hashlib
import io
from datetime import datetime

import numpy as np
import pytest
from PIL import ExifTags, Image

from helpers.made_pictures import encoded
from helpers.pictures_on_disk import coloured, png_bomb
from likebut.errors import ImageError
from likebut.gallery.images import read_image


def test_what_is_stored_of_an_image() -> None:
    content = encoded(coloured(1, (2400, 1800)), "JPEG")
    image = read_image(content)
    assert image.id == hashlib.sha256(content).hexdigest()
    assert (image.width, image.height, image.file_bytes) == (2400, 1800, len(content))
    assert image.taken is None
    with Image.open(io.BytesIO(image.thumbnail)) as thumbnail:
        assert thumbnail.format == "JPEG" and min(thumbnail.size) == 256
    signature = np.frombuffer(image.signature, dtype=np.uint8).reshape(8, 8, 3)
    np.testing.assert_allclose(signature[4, 4], np.asarray(coloured(1))[20, 30], atol=3)
    assert min(image.image.size) == 900, "a large JPEG is decoded at a reduced scale"


def test_large_images_of_other_formats_are_reduced() -> None:
    image = read_image(encoded(coloured(1, (3000, 2000)), "PNG"))
    assert min(image.image.size) < 1024 and (image.width, image.height) == (3000, 2000)


def test_exif_rotation_and_date() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2021:07:03 10:11:12"
    image = read_image(encoded(coloured(1, (60, 40)), "JPEG", exif=exif))
    assert (image.width, image.height) == (40, 60) == image.image.size
    assert image.taken == datetime(2021, 7, 3, 10, 11, 12)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_is_that_of_the_upright_image(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = read_image(encoded(coloured(1, (60, 40)), kind, exif=exif))
    assert (image.width, image.height) == image.image.size == ((40, 60) if orientation > 4 else (60, 40))


def test_large_images_cause_no_pillow_warning(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_image(encoded(coloured(1, (12, 12)), "PNG")).width == 12
    assert not recwarn.list


@pytest.mark.parametrize("date", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_invalid_exif_dates_are_ignored(date: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = date
    assert read_image(encoded(coloured(1), "JPEG", exif=exif)).taken is None


@pytest.mark.parametrize("mode", ["P", "CMYK", "L", "1"])
def test_colour_modes(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert read_image(encoded(coloured(1).convert(mode), kind)).image.mode == "RGB"


def test_thumbnail_of_a_long_image() -> None:
    with Image.open(io.BytesIO(read_image(encoded(Image.new("RGB", (5000, 3)), "PNG")).thumbnail)) as thumbnail:
        assert thumbnail.size == (768, 1)


@pytest.mark.parametrize("content", [b"", b"text", png_bomb(), encoded(coloured(1), "JPEG")[:300]])
def test_unusable_content(content: bytes) -> None:
    with pytest.raises(ImageError):
        read_image(content)
