"""Folders of small images."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def coloured(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """An image of one colour with another in its corner, unique to the seed."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((size[1], size[0], 3), dtype=np.uint8)
    pixels[:] = rng.integers(0, 256, 3)
    pixels[: size[1] // 4, : size[0] // 4] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


def write_pictures(folder: Path, numbers: range) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        coloured(number).save(path)
    return paths


def png_bomb(side: int = 20_000) -> bytes:
    """A PNG of a few hundred bytes whose header claims side × side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
