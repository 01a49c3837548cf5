import hashlib
import io
from datetime import datetime

import numpy as np
import pytest
from PIL import ExifTags, Image

from helpers.made_pictures import encoded
from helpers.pictures_on_disk import coloured, png_bomb
from likebut.errors import ImageError
from likebut.gallery.images import read_picture


def test_what_is_kept_of_a_picture() -> None:
    content = encoded(coloured(1, (2400, 1800)), "JPEG")
    picture = read_picture(content)
    assert picture.id == hashlib.sha256(content).hexdigest()
    assert (picture.width, picture.height, picture.file_bytes) == (2400, 1800, len(content))
    assert picture.taken is None
    with Image.open(io.BytesIO(picture.thumbnail)) as thumbnail:
        assert thumbnail.format == "JPEG" and min(thumbnail.size) == 256
    miniature = np.frombuffer(picture.signature, dtype=np.uint8).reshape(8, 8, 3)
    np.testing.assert_allclose(miniature[4, 4], np.asarray(coloured(1))[20, 30], atol=3)
    assert min(picture.image.size) == 900, "a large JPEG is decoded at a reduced scale"


def test_large_pictures_of_other_kinds_are_reduced_too() -> None:
    picture = read_picture(encoded(coloured(1, (3000, 2000)), "PNG"))
    assert min(picture.image.size) < 1024 and (picture.width, picture.height) == (3000, 2000)


def test_exif_rotation_and_date() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2021:07:03 10:11:12"
    picture = read_picture(encoded(coloured(1, (60, 40)), "JPEG", exif=exif))
    assert (picture.width, picture.height) == (40, 60) == picture.image.size
    assert picture.taken == datetime(2021, 7, 3, 10, 11, 12)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_is_that_of_the_upright_picture(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture = read_picture(encoded(coloured(1, (60, 40)), kind, exif=exif))
    assert (picture.width, picture.height) == picture.image.size == ((40, 60) if orientation > 4 else (60, 40))


def test_what_pillow_takes_for_a_bomb_and_we_do_not_makes_no_warning(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_picture(encoded(coloured(1, (12, 12)), "PNG")).width == 12
    assert not recwarn.list


@pytest.mark.parametrize("date", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_a_camera_without_a_clock_gives_no_date(date: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = date
    assert read_picture(encoded(coloured(1), "JPEG", exif=exif)).taken is None


@pytest.mark.parametrize("mode", ["P", "CMYK", "L", "1"])
def test_modes(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert read_picture(encoded(coloured(1).convert(mode), kind)).image.mode == "RGB"


def test_a_long_thin_picture_has_a_thumbnail() -> None:
    with Image.open(io.BytesIO(read_picture(encoded(Image.new("RGB", (5000, 3)), "PNG")).thumbnail)) as thumbnail:
        assert thumbnail.size == (768, 1)


@pytest.mark.parametrize("content", [b"", b"text", png_bomb(), encoded(coloured(1), "JPEG")[:300]])
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(ImageError):
        read_picture(content)
