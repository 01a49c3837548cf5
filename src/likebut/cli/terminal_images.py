"""Inline images on terminals that can show them: the kitty, iTerm2 and sixel protocols."""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

ImageProtocol = Literal["kitty", "iterm", "sixel"]

_KITTY_CHUNK = 4096  # base64 characters per escape sequence, a limit of the protocol
_TILE = 128
_TILES_PER_ROW = 5
_LABEL_HEIGHT = 14
_SIXEL_COLOURS = 64


def image_protocol(environment: Mapping[str, str] = os.environ) -> ImageProtocol | None:
    """Return the image protocol that the terminal announces in its environment variables, if any.

    The terminal itself is not queried: a terminal that does not announce a protocol counts as one without images.
    """
    terminal, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment:
        return None  # tmux passes none of the three on
    if "KITTY_WINDOW_ID" in environment or terminal in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if program in ("iTerm.app", "WezTerm"):
        return "iterm"
    return "sixel" if terminal.startswith(("foot", "mlterm", "contour")) else None


def contact_strip(thumbnails: Sequence[bytes]) -> Image.Image:
    """Return JPEG thumbnails as one image, numbered from 1."""
    rows = -(-len(thumbnails) // _TILES_PER_ROW)
    strip = Image.new("RGB", (_TILES_PER_ROW * _TILE, rows * (_TILE + _LABEL_HEIGHT)), "black")
    draw = ImageDraw.Draw(strip)
    for position, content in enumerate(thumbnails):
        left, top = position % _TILES_PER_ROW * _TILE, position // _TILES_PER_ROW * (_TILE + _LABEL_HEIGHT)
        draw.text((left + 2, top), str(position + 1), fill="white")
        with Image.open(io.BytesIO(content)) as image:
            image.thumbnail((_TILE - 4, _TILE - 4))
            strip.paste(image, (left + 2, top + _LABEL_HEIGHT))
    return strip


def escape_sequence(image: Image.Image, protocol: ImageProtocol) -> str:
    """Return the escape sequence that shows ``image`` on a terminal with the given protocol."""
    if protocol == "sixel":
        return _sixels(image)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    content = buffer.getvalue()
    encoded = base64.b64encode(content).decode()
    if protocol == "iterm":
        return f"\x1b]1337;File=inline=1;size={len(content)}:{encoded}\a"
    chunks = [encoded[start : start + _KITTY_CHUNK] for start in range(0, len(encoded), _KITTY_CHUNK)]
    return "".join(
        f"\x1b_G{'a=T,f=100,' if number == 0 else ''}m={int(number < len(chunks) - 1)};{chunk}\x1b\\"
        for number, chunk in enumerate(chunks)
    )


def _sixels(image: Image.Image) -> str:
    """Encode an image as sixels: bands of six rows, one pass per colour, one character per column."""
    reduced = image.quantize(_SIXEL_COLOURS)
    palette = (reduced.getpalette() or [])[: 3 * _SIXEL_COLOURS]
    parts = ["\x1bPq"]
    for number in range(len(palette) // 3):
        red, green, blue = (round(100 * value / 255) for value in palette[3 * number : 3 * number + 3])
        parts.append(f"#{number};2;{red};{green};{blue}")
    pixels = np.asarray(reduced)
    for top in range(0, pixels.shape[0], 6):
        band = pixels[top : top + 6]
        bits = 1 << np.arange(band.shape[0])[:, None]
        for colour in np.unique(band):
            columns = ((band == colour) * bits).sum(axis=0) + 63
            parts.append(f"#{colour}" + bytes(columns.astype(np.uint8)).decode("ascii") + "$")
        parts.append("-")
    return "".join(parts) + "\x1b\\"
