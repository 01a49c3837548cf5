"""Drawing scenes as PNG files."""

import io
import json
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path

import resvg_py
from dicebear import Avatar, Style
from PIL import Image

from likebut.children import end_with_parent
from likebut.files import write_bytes
from likebut.progress import track
from likebut.sample_data.attributes import Scene

SIDE = 224
_CHUNK = 8


@cache
def _drawing_style(name: str) -> Style:
    return Style(json.loads(files("dicebear_styles").joinpath(f"{name}.json").read_text(encoding="utf-8")))


def draw(scene: Scene, side: int = SIDE) -> Image.Image:
    """Return the scene as an RGB image of ``side`` × ``side`` pixels."""
    svg = Avatar(_drawing_style(scene.style), scene.options()).to_string()
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True))
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("RGB")


def draw_png(scene: Scene) -> bytes:
    """Return the scene as the content of a PNG file; the same scene always gives the same bytes."""
    buffer = io.BytesIO()
    draw(scene).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _draw_file(task: tuple[Scene, Path]) -> None:
    scene, path = task
    write_bytes(path, draw_png(scene))


def draw_files(folder: Path, scenes: Mapping[str, Scene], workers: int = 1) -> None:
    """Draw every scene that has no file below ``folder`` yet.

    Each file is written atomically, so whatever stands under a final name is complete.

    Args:
        folder: Where the images go.
        scenes: Name below ``folder`` → scene.
        workers: Processes to draw with.
    """
    missing = [(scene, folder / name) for name, scene in scenes.items() if not (folder / name).is_file()]
    with track("drawing images", len(scenes), "images", done=len(scenes) - len(missing)) as meter:
        if workers < 2 or len(missing) < 100:
            for task in missing:
                _draw_file(task)
                meter.advance()
            return
        with _pool(workers) as pool:
            for _ in pool.map(_draw_file, missing, chunksize=_CHUNK):
                meter.advance()


def _pool(workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)
