"""Telling people which images were not used."""

import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from likebut.data.images import SkippedImage
    from likebut.evaluation.report import EvaluationReport


_SHOWN = 10


def skipped_lines(images: "Sequence[SkippedImage]", full_list: str) -> list[str]:
    """Return the lines that count and list images that were set aside, none if none was.

    Args:
        images: Which, and why.
        full_list: Where all of them are listed.
    """
    if not images:
        return []
    lines = [f"{len(images)} {'image was' if len(images) == 1 else 'images were'} set aside:"]
    lines += [f"  {image.name}: {image.reason}" for image in images[:_SHOWN]]
    if len(images) > _SHOWN:
        lines.append(f"  … and {len(images) - _SHOWN} more, listed in {full_list}.")
    return lines


def print_report(report: "EvaluationReport", as_json: bool) -> None:
    """Print a report on standard output."""
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    sizes = ", ".join(
        f"{part + ': ' if part else ''}{count} queries, gallery {report.gallery[part] or 'unknown'}"
        for part, count in report.queries.items()
    )
    console.print(f"{report.benchmark} {report.split} ({sizes})")
    template = "" if report.query_template is None else f", query template {report.query_template}"
    console.print(f"protocol {report.protocol}, labels {report.labels}{template}")
    console.print(_table(report))
    for note in report.notes:
        console.print(f"Note: {note}")
    for line in skipped_lines(report.skipped, "the output of --json"):
        console.print(line)


def _table(report: "EvaluationReport") -> Table:
    table = Table("metric")
    table.add_column("%", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, value in report.metrics.items():
        low, high = report.intervals[name]
        table.add_row(name, f"{value:.2f}", f"{low:.2f} … {high:.2f}")
    return table


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
