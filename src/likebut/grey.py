"""Grey pictures with more than eight bits, which Pillow clips at 255 instead of scaling them."""

import numpy as np
import numpy.typing as npt
from PIL import Image


def grey_as_rgb(image: Image.Image) -> Image.Image:
    """Return a picture of mode I;16, I or F as RGB, its transparent grey, if it has one, as white."""
    values = np.asarray(image)
    grey = (values.astype(np.uint32) >> 8).astype(np.uint8) if image.mode.startswith("I;16") else _in_bytes(values)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _in_bytes(values: npt.NDArray[np.int32] | npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return numbers on a scale that their file does not tell, as bytes.

    Their largest tells it: shares of 1 where they are fractions, 8 bits, 16 bits, or else the largest is white.
    """
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    largest = numbers.max(initial=0.0)
    is_share = values.dtype.kind == "f" and largest <= 1
    white = 1.0 if is_share else next((top for top in (255.0, 65535.0) if largest <= top), largest)
    scaled: npt.NDArray[np.uint8] = np.clip(np.rint(numbers / white * 255), 0, 255).astype(np.uint8)
    return scaled
