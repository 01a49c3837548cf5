"""Pictures inside a terminal that can show them: the protocols of kitty, of iTerm2, and sixels."""

import base64
import io
import os
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

_CHUNK = 4096
_TILE = 128
_TILES_A_ROW = 5
_LABEL = 14
_SIXEL_COLOURS = 64


def picture_protocol(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return "kitty", "iterm" or "sixel", whichever the terminal says it understands; None if none.

    Nothing is asked of the terminal itself, so a terminal that hides its name is taken to show no pictures.
    """
    terminal, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment:
        return None  # tmux swallows all three
    if "KITTY_WINDOW_ID" in environment or terminal in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if program in ("iTerm.app", "WezTerm"):
        return "iterm"
    return "sixel" if terminal.startswith(("foot", "mlterm", "contour")) else None


def contact_strip(thumbnails: Sequence[bytes]) -> Image.Image:
    """Return JPEG thumbnails as one picture, numbered from 1."""
    rows = -(-len(thumbnails) // _TILES_A_ROW)
    strip = Image.new("RGB", (_TILES_A_ROW * _TILE, rows * (_TILE + _LABEL)), "black")
    draw = ImageDraw.Draw(strip)
    for position, thumbnail in enumerate(thumbnails):
        left, top = position % _TILES_A_ROW * _TILE, position // _TILES_A_ROW * (_TILE + _LABEL)
        draw.text((left + 2, top), str(position + 1), fill="white")
        with Image.open(io.BytesIO(thumbnail)) as picture:
            picture.thumbnail((_TILE - 4, _TILE - 4))
            strip.paste(picture, (left + 2, top + _LABEL))
    return strip


def escape_sequence(picture: Image.Image, protocol: str) -> str:
    """Return what makes a terminal show ``picture``."""
    if protocol == "sixel":
        return _sixels(picture)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    content = buffer.getvalue()
    encoded = base64.b64encode(content).decode()
    if protocol == "iterm":
        return f"\x1b]1337;File=inline=1;size={len(content)}:{encoded}\a"
    chunks = [encoded[start : start + _CHUNK] for start in range(0, len(encoded), _CHUNK)]
    return "".join(
        f"\x1b_G{'a=T,f=100,' if number == 0 else ''}m={int(number < len(chunks) - 1)};{chunk}\x1b\\"
        for number, chunk in enumerate(chunks)
    )


def _sixels(picture: Image.Image) -> str:
    """Return a picture as sixels: bands of six rows, one pass a colour, a character a column."""
    reduced = picture.quantize(_SIXEL_COLOURS)
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
