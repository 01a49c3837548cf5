"""Rendering scenes as PNG files, and comparing renderings."""

import io
import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from likebut.errors import require_extra
from likebut.files import write_bytes
from likebut.progress import track
from likebut.research.child_processes import end_with_parent
from likebut.research.sample_data.attributes import Scene

with require_extra("research"):
    import resvg_py
    from dicebear import Avatar, Style

SIDE = 224
LEAST_DIFFERENCE = 0.2
"""Mean absolute pixel difference (0 to 255) from which two drawings differ visibly; our smallest change has 0.38."""

Pixels = npt.NDArray[np.uint8]

_CHUNK = 8
_POOL_FROM = 100
_THUMBNAIL = 28


@cache
def _drawing_style(name: str) -> Style:
    with require_extra("research"):
        styles = files("dicebear_styles")
    return Style(json.loads(styles.joinpath(f"{name}.json").read_text(encoding="utf-8")))


def draw(scene: Scene, side: int = SIDE) -> Image.Image:
    """Return the scene as an RGB image of ``side`` × ``side`` pixels."""
    svg = Avatar(_drawing_style(scene.style), scene.options()).to_string()
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True))
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("RGB")


def draw_png(scene: Scene) -> bytes:
    """Return the scene as PNG bytes; equal scenes give equal bytes."""
    buffer = io.BytesIO()
    draw(scene).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def draw_files(folder: Path, scenes: Mapping[str, Scene], workers: int = 1) -> None:
    """Render every scene that has no file below ``folder`` yet.

    Each file is written atomically, so that an existing file is complete.

    Args:
        folder: Output folder.
        scenes: Name below ``folder`` → scene.
        workers: Number of processes.
    """
    missing = [(scene, folder / name) for name, scene in scenes.items() if not (folder / name).is_file()]
    with track("drawing images", len(scenes), "images", done=len(scenes) - len(missing)) as meter:
        if workers < 2 or len(missing) < _POOL_FROM:
            for task in missing:
                _draw_file(task)
                meter.advance()
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
            for _ in pool.map(_draw_file, missing, chunksize=_CHUNK):
                meter.advance()


def read_pixels(path: Path) -> Pixels:
    """Return a PNG's pixels (height, width, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def differ(one: Pixels, other: Pixels) -> bool:
    """Return whether two drawings of one size differ visibly."""
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean()) >= LEAST_DIFFERENCE


def identical_drawings(paths: Sequence[Path]) -> list[set[int]]:
    """Return, for each drawing, the positions of the others that do not differ visibly from it.

    Means are compared first, of the whole drawing and then of blocks: the mean difference of means never exceeds that
    of pixels, so no pair is lost, and only drawings of similar brightness are compared pixel by pixel.
    """
    thumbnails = np.stack([_block_means(read_pixels(path)) for path in paths]) if paths else np.empty((0, 1))
    brightness = thumbnails.mean(axis=1)
    order = np.argsort(brightness, kind="stable")
    ends = np.searchsorted(brightness[order], brightness[order] + LEAST_DIFFERENCE, side="right")
    identical: list[set[int]] = [set() for _ in paths]
    for place, first in enumerate(order.tolist()):
        near = order[place + 1 : ends[place]]
        distances = np.abs(thumbnails[near] - thumbnails[first]).mean(axis=1)
        for second in near[distances < LEAST_DIFFERENCE].tolist():
            if not differ(read_pixels(paths[first]), read_pixels(paths[second])):
                identical[first].add(second)
                identical[second].add(first)
    return identical


def _draw_file(task: tuple[Scene, Path]) -> None:
    scene, path = task
    write_bytes(path, draw_png(scene))


def _block_means(pixels: Pixels) -> npt.NDArray[np.float32]:
    block = pixels.shape[0] // _THUMBNAIL
    blocks = pixels.reshape(_THUMBNAIL, block, _THUMBNAIL, block, 3)
    means: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means.reshape(-1)
