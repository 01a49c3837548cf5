"""Pictures as callers give them: files, contents, decoded; upright or with an EXIF orientation."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from helpers.errors import raises
from helpers.made_pictures import encoded, noise
from likebut.data.images import Preprocessing, as_rgb, as_source, decode
from likebut.errors import ImageError, InputError


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_malformed_exif_keeps_the_orientation(kind: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = 6, "Maker"
    # The maker's tag is given the number of one that holds a whole number: Pillow cannot write such EXIF anew.
    make, wrong = (int(tag).to_bytes(2, "big") for tag in (ExifTags.Base.Make, ExifTags.Base.ImageWidth))
    raw = exif.tobytes().replace(make, wrong, 1)
    assert raw != exif.tobytes()
    assert decode(encoded(noise(64, 48), kind, exif=raw)).size == (48, 64)


def test_a_pil_image_equals_its_decoded_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for name in ("phone.jpg", "phone.png", "phone.webp", "phone.tif"):
        noise(40, 20).save(tmp_path / name, exif=exif)
        assert decode(tmp_path / name).size == (20, 40)
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(tmp_path / "deep.png")
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert as_rgb(image).tobytes() == as_rgb(decode(path)).tobytes() == decode(path).tobytes()
            # Square ones too, which no padding turns into RGB.
            assert torch.equal(Preprocessing(size=16)(image), Preprocessing(size=16)(decode(path)))
    plain = noise()
    assert as_rgb(plain) is plain
    with raises(ImageError):
        as_rgb(Image.open(io.BytesIO(encoded(noise(200, 200), "JPEG")[:-500])))


def test_image_arguments_are_paths_bytes_files_or_pil_images(tmp_path: Path) -> None:
    content = encoded(noise(), "PNG")
    for form in (content, bytearray(content), memoryview(content), io.BytesIO(content)):
        assert as_source(form) == content
    assert as_source("a.png") == as_source(Path("a.png")) == Path("a.png")
    with raises(InputError, "unsupported-image-type", "ndarray", "fromarray"):
        as_source(np.zeros((4, 4, 3)))
    with raises(ImageError):
        decode(Path("a\0.png"))
