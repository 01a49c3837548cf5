"""Dominant colours by name: what can be said of any image without having learned anything.

An image's middle is looked at, where its subject mostly is; each pixel has one of eleven basic colours (Berlin and
Kay's), and a colour is dominant that covers a third of it. The light of shops and rooms is yellowish, in which green
apples are yellow: it is estimated from the collection's near-white pixels and divided out.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from likebut.data.images import decode
from likebut.errors import ImageError

BASIC = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
CHROMATIC = frozenset(BASIC[3:])
_SIDE = 48
_MIDDLE = 0.6
_LEAST_SHARE = 0.33
_AGREED_SHARE = 0.6
_THREADS = 4
_LEAST_WHITE = 0.02
_LEAST_LIT_IMAGES = 10


def colours_of(paths: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    """Return each image's dominant colours, the largest first; none for an image that cannot be read."""
    with ThreadPoolExecutor(_THREADS) as pool:
        middles = dict(zip(paths, pool.map(_middle_of, paths.values()), strict=True))
    light = light_of([pixels for pixels in middles.values() if pixels is not None])
    return {name: () if pixels is None else dominant_colours(pixels, light) for name, pixels in middles.items()}


def _middle_of(path: Path) -> npt.NDArray[np.uint8] | None:
    try:
        image = decode(path, least_side=_SIDE)
    except ImageError:
        return None
    width, height = image.size
    inset = (1 - _MIDDLE) / 2
    box = (width * inset, height * inset, width * (1 - inset), height * (1 - inset))
    return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX, box=box)).reshape(-1, 3)


def light_of(images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    """Return the colour of the light over (n, 3) pixels of each image: of what is nearly white, its largest part 1."""
    found = []
    for pixels in images:
        rgb = pixels.astype(np.float64) / 255
        near_white = (rgb.max(axis=1) > 0.5) & (rgb.min(axis=1) > 0.65 * rgb.max(axis=1))
        if near_white.sum() >= _LEAST_WHITE * len(rgb):
            found.append(rgb[near_white].mean(axis=0))
    if len(found) < _LEAST_LIT_IMAGES:
        return np.ones(3)
    light = np.median(found, axis=0)
    scaled: npt.NDArray[np.float64] = light / light.max()
    return scaled


def dominant_colours(pixels: npt.NDArray[np.uint8], light: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """Return the basic colours that cover at least a third of (n, 3) pixels, the largest first."""
    white = np.clip(pixels / light, 0, 255).astype(np.uint8)
    names = name_pixels(white)
    counts = Counter(names.tolist())
    return tuple(BASIC[number] for number, count in counts.most_common() if count >= _LEAST_SHARE * len(names))


def name_pixels(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return for (n, 3) RGB pixels the numbers of their colours in :data:`BASIC`."""
    rgb = pixels.astype(np.float64) / 255
    value, least = rgb.max(axis=1), rgb.min(axis=1)
    chroma = value - least
    saturation = np.divide(chroma, value, out=np.zeros_like(value), where=value > 0)
    hue = _hue(rgb, value, chroma)
    found = np.full(len(rgb), BASIC.index("grey"))
    coloured = (saturation >= 0.25) & (value >= 0.2)
    for name, low, high in (
        ("red", 0, 14), ("orange", 14, 42), ("yellow", 42, 68), ("green", 68, 170), ("blue", 170, 255),
        ("purple", 255, 300), ("pink", 300, 340), ("red", 340, 361),
    ):  # fmt: skip
        found[coloured & (hue >= low) & (hue < high)] = BASIC.index(name)
    warm = coloured & ((hue < 45) | (hue >= 345))
    found[warm & (value < 0.6) & (saturation < 0.75)] = BASIC.index("brown")
    found[warm & (hue >= 14) & (value < 0.6)] = BASIC.index("brown")
    found[coloured & ((hue >= 325) | (hue < 14)) & (value > 0.75) & (saturation < 0.5)] = BASIC.index("pink")
    found[~coloured & (value >= 0.75)] = BASIC.index("white")
    found[value < 0.2] = BASIC.index("black")
    return found


def _hue(
    rgb: npt.NDArray[np.float64], value: npt.NDArray[np.float64], chroma: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    red, green, blue = rgb.T
    safe = np.where(chroma > 0, chroma, 1.0)
    sector = np.where(
        value == red,
        ((green - blue) / safe) % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return np.where(chroma > 0, 60 * sector, 0.0)


def agreed_colours(names: Mapping[str, str], colours: Mapping[str, Sequence[str]], least: int = 3) -> dict[str, str]:
    """Return for each image the colour that most images of its name have; images of other names have none.

    One photograph's dominant colour may be a shelf's; what most photographs of one thing share is the thing's.

    Args:
        names: Image → its name.
        colours: Image → its dominant colours.
        least: Images of a name, below which nothing is agreed.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for image, name in names.items():
        members[name].append(image)
    found: dict[str, str] = {}
    for images in members.values():
        counts = Counter(colour for image in images for colour in set(colours.get(image, ())) & CHROMATIC)
        if len(images) >= least and counts:
            [(colour, count)] = counts.most_common(1)
            if count >= _AGREED_SHARE * len(images):
                found |= dict.fromkeys(images, colour)
    return found


def colours_around(
    names: Sequence[str], colours: Mapping[str, Sequence[str]], neighbours: Sequence[Sequence[int]]
) -> dict[str, str]:
    """Return for each image its own dominant colour, where most of the images that look like it have it too.

    Args:
        names: n images.
        colours: Image → its dominant colours.
        neighbours: For each of ``names``, rows of the images that look most like it.
    """
    found: dict[str, str] = {}
    for name, rows in zip(names, neighbours, strict=True):
        own = next((colour for colour in colours.get(name, ()) if colour in CHROMATIC), None)
        sharing = sum(own in colours.get(names[row], ()) for row in rows)
        if own is not None and sharing >= len(rows) / 2:
            found[name] = own
    return found
