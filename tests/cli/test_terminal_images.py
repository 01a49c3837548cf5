import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from likebut.cli.terminal_images import contact_strip, escape_sequence, image_protocol


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "x"}, None),
        ({}, None),
    ],
)
def test_protocols(environment: dict[str, str], expected: str | None) -> None:
    assert image_protocol(environment) == expected


def test_strip_contains_every_thumbnail() -> None:
    thumbnails = []
    for colour in ("red", "lime", "blue", "white", "yellow", "cyan"):
        buffer = io.BytesIO()
        Image.new("RGB", (256, 256), colour).save(buffer, "JPEG", quality=95)
        thumbnails.append(buffer.getvalue())
    strip = np.asarray(contact_strip(thumbnails))
    assert strip.shape == (2 * 142, 5 * 128, 3)
    np.testing.assert_allclose(strip[80, 64], (255, 0, 0), atol=4)
    np.testing.assert_allclose(strip[80, 64 + 4 * 128], (255, 255, 0), atol=4)
    np.testing.assert_allclose(strip[80 + 142, 64], (0, 255, 255), atol=4)


def test_kitty_and_iterm_encode_the_image() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8))
    kitty = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", escape_sequence(image, "kitty"))
    assert len(kitty) > 1 and kitty[0][0] == "a=T,f=100,m=1" and kitty[-1][0] == "m=0"
    iterm = escape_sequence(image, "iterm")
    for encoded in ("".join(chunk for _, chunk in kitty), iterm[iterm.index(":") + 1 : -1]):
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as decoded:
            np.testing.assert_array_equal(np.asarray(decoded), np.asarray(image))


def test_sixels_draw_every_pixel_once() -> None:
    pixels = np.zeros((7, 3, 3), dtype=np.uint8)
    pixels[:, 1] = (255, 255, 255)
    drawn = escape_sequence(Image.fromarray(pixels), "sixel")
    assert drawn.startswith("\x1bPq") and drawn.endswith("\x1b\\")
    bands = drawn[drawn.rindex(";") :].split("#", 1)[1].rstrip("\x1b\\").rstrip("-").split("-")
    assert len(bands) == 2
    seen = np.zeros((12, 3), dtype=int)
    for top, band in enumerate(bands):
        for run in re.findall(r"\d+([?-~]{3})", band):
            for column, character in enumerate(run):
                for row in range(6):
                    seen[6 * top + row, column] += (ord(character) - 63) >> row & 1
    assert (seen[:7] == 1).all() and (seen[7:] == 0).all()
