"""Image files as they occur in practice: damaged, enormous, unusually encoded, rotated, duplicated."""

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from likebut.data.images import decode
from likebut.errors import ImageError

SIDE = 32
BOMB_SIDE = 20_000

DAMAGED = ("bomb.png", "text.png", "truncated.jpg", "zero.png")  # cannot be used
ODD = ("animated.gif", "cmyk.jpg", "palette.png", "turned.jpg")
GOOD = tuple(f"good-{number}.png" for number in range(6))
COPY, ORIGINAL = "twin-b.png", "twin-a.png"  # two files with the same content
USABLE = (*GOOD, *ODD, ORIGINAL, COPY)
EVERYTHING = (*USABLE, *DAMAGED)
TURNED_SIZE = (24, 40)  # width and height of turned.jpg after rotation


def noise(seed: int, width: int = SIDE, height: int = SIDE) -> Image.Image:
    """Return an image that is unique to the seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def write_awkward_images(folder: Path) -> None:
    """Write all of :data:`EVERYTHING` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(GOOD):
        noise(number).save(folder / name)
    for name in (ORIGINAL, COPY):
        noise(100).save(folder / name)
    frames = [noise(seed).quantize(16) for seed in (110, 111)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    noise(120).convert("CMYK").save(folder / "cmyk.jpg")
    noise(130).quantize(16).save(folder / "palette.png", transparency=0)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated: 40 × 24 in the file, 24 × 40 upright
    noise(140, *reversed(TURNED_SIZE)).save(folder / "turned.jpg", exif=exif)
    write_damaged_images(folder)


def write_damaged_images(folder: Path) -> None:
    """Write all of :data:`DAMAGED` into ``folder``."""
    write_bomb(folder / "bomb.png")
    (folder / "text.png").write_text("This is not an image.\n")
    noise(150, 64, 64).save(folder / "truncated.jpg")
    truncate(folder / "truncated.jpg")
    (folder / "zero.png").write_bytes(b"")


def damage_of(path: Path) -> str:
    """Return the reason why an image file cannot be used."""
    try:
        decode(path.read_bytes())
    except ImageError as error:
        return error.problem
    raise AssertionError(f"{path} can be used")


def truncate(path: Path) -> None:
    """Cut a file in half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def write_bomb(path: Path) -> None:
    """Write 400 million white pixels as a PNG of some 50 kB, row by row."""
    row = b"\x00" + b"\xff" * (BOMB_SIDE // 8)
    packer = zlib.compressobj(1)
    pixels = b"".join([packer.compress(row) for _ in range(BOMB_SIDE)]) + packer.flush()
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
