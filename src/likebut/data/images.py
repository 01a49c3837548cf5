"""Grey pictures with more than eight bits, which Pillow clips at 255 instead of scaling them."""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from likebut.data.triplets import CropBox, ImageRef
from likebut.errors import IMAGE_DAMAGE, ImageError, InputError, UnreadableImageError
from likebut.files import files_below, fingerprint, is_gone


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


# What turns a picture upright, by its EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turned_upright(image: Image.Image) -> Image.Image:
    """Return the image as its EXIF orientation says it is to be seen.

    Pillow's own ``exif_transpose`` writes the EXIF anew, which fails where any other field of it is malformed.
    """
    image.load()  # a TIFF is turned as it is loaded, and its EXIF changed with it
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except IMAGE_DAMAGE:
        turn = None  # pictures with broken EXIF are shown as they lie everywhere
    if turn is None:
        return image
    turned = image.transpose(turn)
    for name in ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"):
        turned.info.pop(name, None)  # or it would be turned once more by whoever looks next
    return turned


SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535  # JPEG's own limit; a thread of pixels beyond it takes gigabytes to resize

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that was not used, and why."""

    name: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return it as commands print it under --json."""
        return {"image": self.name, "reason": self.reason}


def skipped_in(record: Mapping[str, Any]) -> Any:
    """Return what a saved record lists as skipped; version 0.1 called it "set_aside"."""
    return record["skipped"] if "skipped" in record else record["set_aside"]


def decode(
    source: Path | bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS, least_side: int | None = None
) -> Image.Image:
    """Decode an image into upright RGB.

    The first frame of an animation is taken, EXIF rotation is applied, transparency is laid over white.

    Args:
        source: A file or its content.
        max_bytes: Larger files are refused unread.
        max_pixels: Images with more pixels are refused before their pixels are decoded.
        least_side: If given, a JPEG may be decoded at a reduced scale whose shorter side is still at least this;
            several times faster for large photographs.

    Raises:
        ImageError: The image is missing, too large, truncated, or no image.
    """
    content = source if isinstance(source, bytes) else read_content(source, max_bytes)
    if not content:
        raise ImageError("The file is empty.", "Replace it.")
    if len(content) > max_bytes:
        raise ImageError(f"The file has {len(content)} bytes, more than {max_bytes}.", "Make it smaller.")
    with opened(content, max_pixels) as image:
        return _to_upright_rgb(image, max_pixels, least_side)


def as_rgb(image: Image.Image) -> Image.Image:
    """Return a decoded picture as :func:`decode` gives it of its file: upright, RGB, transparency over white.

    Raises:
        ImageError: It was not decoded yet, and is damaged.
    """
    try:
        upright = turned_upright(image)
        is_rgb = upright.mode == "RGB" and "transparency" not in upright.info
        return upright if is_rgb else _over_white(upright)
    except IMAGE_DAMAGE as error:
        raise ImageError(f"The image is damaged ({str(error).rstrip('.')}).", "Replace it.") from None


def crop_square(image: Image.Image, box: CropBox) -> Image.Image:
    """Return a part of an image, padded with black to a square; the part is in the middle.

    Args:
        image: A decoded RGB image.
        box: The part; what lies beyond the image is cut off.

    Raises:
        ImageError: No pixel of the image is in the box.
    """
    left, top, right, bottom = max(box[0], 0), max(box[1], 0), min(box[2], image.width), min(box[3], image.height)
    if right <= left or bottom <= top:
        raise ImageError(
            f"The crop {box} has no pixel of the image, which has {image.width} × {image.height}.",
            "Use the images that the annotations belong to.",
        )
    part = image.crop((left, top, right, bottom))
    if part.width == part.height:
        return part
    side = max(part.size)
    square = Image.new("RGB", (side, side))
    square.paste(part, ((side - part.width) // 2, (side - part.height) // 2))
    return square


def as_source(given: object) -> Path | bytes | Image.Image:
    """Return a picture in one of the forms that are read: a file's path, its content, or decoded.

    Raises:
        InputError: It is none of these, nor an open file.
    """
    if isinstance(given, str | Path):
        return Path(given)
    if isinstance(given, Image.Image):
        return given
    content = given.read() if isinstance(given, io.BufferedIOBase) else given
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    raise InputError(
        f"A picture is given as a {type(given).__name__}.",
        "Give a path, the content of a file as bytes, or an image of Pillow's (Image.fromarray(…) makes one).",
    )


def picture_size(content: bytes) -> tuple[int, int]:
    """Return width and height of an image from its header alone; its pixels may still turn out to be damaged.

    Raises:
        ImageError: It is no image.
    """
    with opened(content) as image:
        return image.size


@contextmanager
def opened(content: bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Yield an image whose pixels are not decoded yet.

    Raises:
        ImageError: Whatever goes wrong with it, here or where it is used.
    """
    with warnings.catch_warnings():
        # Pillow warns of bombs at its own threshold; ours is checked before any pixel is decoded.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                yield image
        except UnidentifiedImageError:
            raise ImageError("The file is not an image that can be read.", "Replace it.") from None
        except Image.DecompressionBombError:
            raise ImageError(f"The image has more than {max_pixels} pixels.", "Make it smaller.") from None
        except IMAGE_DAMAGE as error:
            raise ImageError(f"The image is damaged ({str(error).rstrip('.')}).", "Replace it.") from None


def read_content(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of an image's file.

    Raises:
        ImageError: There is no such file, or it is too large.
        UnreadableImageError: It is there, but may not or cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise ImageError(f"The file has {size} bytes, more than {max_bytes}.", "Make it smaller.")
        return path.read_bytes()
    except (FileNotFoundError, ValueError):  # a name that no file can have
        raise ImageError(f"There is no file {path}.", "Check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, not an image.", "Give an image file.") from None
    except PermissionError:
        raise UnreadableImageError(f"{path} may not be read.", "Change its permissions.") from None
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror})."
        raise UnreadableImageError(problem, "Check the path, and the disk.") from None


def _to_upright_rgb(image: Image.Image, max_pixels: int, least_side: int | None) -> Image.Image:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageError(
            f"The image has {image.width}×{image.height} pixels, more than {max_pixels}.", "Make it smaller."
        )
    if max(image.size) > MAX_SIDE:
        raise ImageError(f"The image is {max(image.size)} pixels long, more than {MAX_SIDE}.", "Make it smaller.")
    if least_side is not None:
        # Twice the side wanted keeps enough detail for the bicubic resize that follows.
        image.draft("RGB", (2 * least_side, 2 * least_side))
    return _over_white(turned_upright(image))


def _over_white(upright: Image.Image) -> Image.Image:
    """Return an image as RGB, what is transparent laid over white."""
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        return grey_as_rgb(upright)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        overlay = upright.convert("RGBA")
        paper = Image.new("RGBA", overlay.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, overlay).convert("RGB")
    return upright.convert("RGB")


def shrink_for_padding(image: Image.Image, ratio: float, longest: int) -> Image.Image:
    """Shrink an image so thin that :func:`target_pad` would make more than ``MAX_PIXELS`` of it, as a long screenshot.

    Args:
        image: Any image; others are returned as they are.
        ratio: As for :func:`target_pad`.
        longest: The longer side that is shrunk to, in pixels.
    """
    width, height = image.size
    long, short = max(width, height), min(width, height)
    if long / short < ratio or long * long / ratio <= MAX_PIXELS:
        return image
    scale = longest / long
    return image.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BICUBIC)


def target_pad(image: Image.Image, ratio: float) -> Image.Image:
    """Pad with black until the sides' ratio is at most ``ratio`` (CLIP4CIR's TargetPad, which the paper uses)."""
    width, height = image.size
    if max(width, height) / min(width, height) < ratio:
        return image
    shortest = max(width, height) / ratio
    horizontal = max(int((shortest - width) / 2), 0)
    vertical = max(int((shortest - height) / 2), 0)
    padded = Image.new("RGB", (width + 2 * horizontal, height + 2 * vertical))
    padded.paste(image, (horizontal, vertical))
    return padded


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes a vision encoder's input: target padding → bicubic resize → centre crop → normalise.

    Args:
        size: Side of the square input, in pixels.
        pad_ratio: Ratio for :func:`target_pad`.
        mean: Mean of each RGB channel, for values in 0…1.
        std: Standard deviation of each RGB channel.
    """

    size: int = 224
    pad_ratio: float = 1.25
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the image, of any mode, as a float32 tensor of shape (3, size, size)."""
        # Of an image that is shrunk again anyway, sixteen times the input's side keeps whatever can be seen of it.
        padded = target_pad(shrink_for_padding(as_rgb(image), self.pad_ratio, 16 * self.size), self.pad_ratio)
        width, height = padded.size
        short, long = min(width, height), max(width, height)
        scaled_long = int(self.size * long / short)
        scaled = (self.size, scaled_long) if width <= height else (scaled_long, self.size)
        resized = padded.resize(scaled, Image.Resampling.BICUBIC)
        left = round((resized.width - self.size) / 2)
        top = round((resized.height - self.size) / 2)
        cropped = resized.crop((left, top, left + self.size, top + self.size))
        pixels = torch.from_numpy(np.array(cropped)).permute(2, 0, 1).float() / 255.0
        return (pixels - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that differ when the preprocessing differs."""
        return fingerprint(asdict(self))


def list_images(folder: Path) -> list[ImageRef]:
    """Return every file below ``folder`` that has an image's suffix, by name; hidden files are left out.

    Raises:
        InputError: ``folder`` is missing, is no folder, holds no image file, or holds a folder that cannot be listed.
    """
    images, unlisted = images_below(folder)
    if unlisted:
        raise _not_listed(unlisted[0])
    return images


def images_below(folder: Path) -> tuple[list[ImageRef], list[SkippedImage]]:
    """Return what :func:`list_images` does, and the folders below that cannot be listed, so that they can be named.

    Raises:
        InputError: ``folder`` is missing, is no folder, or holds no image file that could be found.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Give a folder of images.")
    files, errors = files_below(folder)
    names = sorted(
        path.relative_to(folder).as_posix() for path in files if path.suffix.lower() in SUFFIXES and not is_gone(path)
    )
    unlisted = [
        SkippedImage(str(error.filename), f"The folder cannot be listed ({error.strerror}).") for error in errors
    ]
    if not names and unlisted:
        raise _not_listed(unlisted[0])
    if not names:
        kinds = ", ".join(sorted(SUFFIXES))
        raise InputError(f"The folder {folder} holds no image files.", f"Put images into it ({kinds}).")
    return [ImageRef(name, folder / name) for name in names], unlisted


def _not_listed(folder: SkippedImage) -> InputError:
    return InputError(f"{folder.name}: {folder.reason}", "Change its permissions, or check the disk.")
