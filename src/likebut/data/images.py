"""Image files: listing them, decoding them safely into upright RGB, and preprocessing for vision encoders."""

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from likebut.data.triplets import CropBox, ImageRef
from likebut.errors import IMAGE_DAMAGE, ImageError, InputError, UnreadableImageError
from likebut.files import files_below, fingerprint, is_gone

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535  # JPEG's own limit; resizing a longer, one pixel wide image takes gigabytes

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_EXIF_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that was skipped, and the reason."""

    name: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return the item as commands print it under ``--json``."""
        return {"image": self.name, "reason": self.reason}


def skipped_in(record: Mapping[str, Any]) -> Any:
    """Return the skipped images of a saved record; version 0.1 stored them as "set_aside"."""
    return record["skipped"] if "skipped" in record else record["set_aside"]


def list_images(folder: Path) -> list[ImageRef]:
    """Return the files below ``folder`` that have an image suffix, sorted by name; hidden files are omitted.

    Raises:
        InputError: The folder does not exist or has no image files, or a folder below cannot be listed.
    """
    images, unlisted = images_below(folder)
    if unlisted:
        raise _not_listed(unlisted[0])
    return images


def images_below(folder: Path) -> tuple[list[ImageRef], list[SkippedImage]]:
    """Return the images as :func:`list_images` does, and the folders below that cannot be listed.

    Raises:
        InputError: The folder does not exist, or no image file was found.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Give a folder of images.", "no-such-folder")
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
        raise InputError(
            f"The folder {folder} has no image files.", f"Add images ({', '.join(sorted(SUFFIXES))}).", "no-images"
        )
    return [ImageRef(name, folder / name) for name in names], unlisted


def read_content(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of an image file.

    Raises:
        ImageError: The file does not exist, or is too large.
        UnreadableImageError: The file exists and cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise ImageError(f"The file has {size} bytes, more than {max_bytes}.", "Reduce its size.")
        return path.read_bytes()
    except (FileNotFoundError, ValueError):  # ValueError: a name that no file can have
        raise ImageError(f"There is no file {path}.", "Check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, not an image.", "Give an image file.") from None
    except PermissionError:
        raise UnreadableImageError(f"{path} is not readable.", "Change its permissions.") from None
    except OSError as error:
        raise UnreadableImageError(
            f"{path} cannot be read ({error.strerror}).", "Check the path and the disk."
        ) from None


@contextmanager
def open_image(content: bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Yield an image whose pixels are not decoded yet.

    Raises:
        ImageError: The content is not an image, or anything fails within the block because it is damaged.
    """
    with warnings.catch_warnings():
        # Pillow warns of decompression bombs at its own threshold; ours is checked before pixels are decoded.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                yield image
        except UnidentifiedImageError:
            raise ImageError("The file is not a supported image.", "Replace it.") from None
        except Image.DecompressionBombError:
            raise ImageError(f"The image has more than {max_pixels} pixels.", "Reduce its size.") from None
        except IMAGE_DAMAGE as error:
            raise ImageError(f"The image is damaged ({str(error).rstrip('.')}).", "Replace it.") from None


def decode(
    source: Path | bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS, least_side: int | None = None
) -> Image.Image:
    """Decode an image into upright RGB.

    The first frame of an animation is used, EXIF orientation is applied, transparency is composited on white.

    Args:
        source: A file, or its content.
        max_bytes: Larger files are refused unread.
        max_pixels: Images with more pixels are refused before their pixels are decoded.
        least_side: Allows a JPEG to be decoded at a reduced scale whose shorter side is at least this many pixels,
            which is several times faster for large photographs.

    Raises:
        ImageError: The image is missing, too large, damaged, or not an image.
    """
    content = source if isinstance(source, bytes) else read_content(source, max_bytes)
    if not content:
        raise ImageError("The file is empty.", "Replace it.")
    if len(content) > max_bytes:
        raise ImageError(f"The file has {len(content)} bytes, more than {max_bytes}.", "Reduce its size.")
    with open_image(content, max_pixels) as image:
        if image.width * image.height > max_pixels:
            raise ImageError(
                f"The image has {image.width}×{image.height} pixels, more than {max_pixels}.", "Reduce its size."
            )
        if max(image.size) > MAX_SIDE:
            raise ImageError(
                f"The image has a side of {max(image.size)} pixels, more than {MAX_SIDE}.", "Reduce its size."
            )
        if least_side is not None:
            # Twice the required side keeps enough detail for the bicubic resize that follows.
            image.draft("RGB", (2 * least_side, 2 * least_side))
        return _on_white(_upright(image))


def image_size(content: bytes) -> tuple[int, int]:
    """Return (width, height) from the header of an image; its pixels are not checked.

    Raises:
        ImageError: The content is not an image.
    """
    with open_image(content) as image:
        return image.size


def as_rgb(image: Image.Image) -> Image.Image:
    """Return a Pillow image as :func:`decode` returns it from a file: upright RGB, transparency on white.

    Raises:
        ImageError: The image had not been decoded and is damaged.
    """
    try:
        upright = _upright(image)
        is_rgb = upright.mode == "RGB" and "transparency" not in upright.info
        return upright if is_rgb else _on_white(upright)
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
    """Return an image argument as a path, as the content of a file, or as a Pillow image.

    Raises:
        InputError: The argument is none of these and not an open binary file.
    """
    if isinstance(given, str | Path):
        return Path(given)
    if isinstance(given, Image.Image):
        return given
    content = given.read() if isinstance(given, io.BufferedIOBase) else given
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    raise InputError(
        f"An image is given as {type(given).__name__}.",
        "Give a path, the content of a file as bytes, or a PIL image (Image.fromarray converts an array).",
        "unsupported-image-type",
    )


ImageInput = Image.Image | Path | str | bytes
"""One image: a path, the content of a file, or a PIL image."""
# Not Sequence: str and bytes are sequences as well.
ImageInputs = list[Any] | tuple[ImageInput, ...]


def as_sources(given: object) -> list[Path | bytes | Image.Image]:
    """Return one image or several as a list of :func:`as_source` forms; nothing is read or decoded yet.

    Args:
        given: A path, the content of a file, an open file or a PIL image, or an iterable of these.

    Raises:
        InputError: An image is given in another form.
    """
    return [as_source(each) for each in given] if are_several(given) else [as_source(given)]


def are_several(given: object) -> TypeGuard[Iterable[object]]:
    """Return whether an argument is an iterable of images and not one image."""
    single = str | bytes | bytearray | memoryview | Image.Image | io.IOBase
    return isinstance(given, Iterable) and not isinstance(given, single)


def load_image(source: Path | bytes | Image.Image) -> Image.Image:
    """Return the image of a source: a file or its content is decoded, a PIL image is returned as it is.

    Raises:
        ImageError: The image is missing, too large, truncated, or no image.
    """
    return source if isinstance(source, Image.Image) else decode(source)


def load_images(images: ImageInput | ImageInputs) -> list[Image.Image]:
    """Return one image or several in RGB.

    Args:
        images: A path, the content of a file, an open file or a PIL image, or an iterable of these.

    Raises:
        ImageError: An image cannot be read.
        InputError: An image is given in another form.
    """
    loaded = [load_image(source) for source in as_sources(images)]
    return [as_rgb(image) for image in loaded]


def shrink_for_padding(image: Image.Image, ratio: float, longest: int) -> Image.Image:
    """Shrink an image so elongated that :func:`target_pad` would exceed ``MAX_PIXELS``, such as a long screenshot.

    Args:
        image: Other images are returned unchanged.
        ratio: As for :func:`target_pad`.
        longest: Longer side of the result, in pixels.
    """
    width, height = image.size
    long, short = max(width, height), min(width, height)
    if long / short < ratio or long * long / ratio <= MAX_PIXELS:
        return image
    scale = longest / long
    return image.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BICUBIC)


def target_pad(image: Image.Image, ratio: float) -> Image.Image:
    """Pad with black until the aspect ratio is at most ``ratio`` (TargetPad of CLIP4CIR, used in the paper)."""
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
    """Preprocessing of a vision encoder: target padding → bicubic resize → centre crop → normalisation.

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
        """Return an image of any mode as float32 (3, size, size)."""
        # An elongated image is reduced again below; sixteen times the input side keeps its visible detail.
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


def _not_listed(folder: SkippedImage) -> InputError:
    return InputError(
        f"{folder.name}: {folder.reason}", "Change its permissions, or check the disk.", "unlistable-folder"
    )


def _upright(image: Image.Image) -> Image.Image:
    """Return an image with its EXIF orientation applied.

    Pillow's ``exif_transpose`` rewrites the EXIF data, which fails if any other field is malformed.
    """
    image.load()  # loading applies the orientation of a TIFF and changes its EXIF data
    try:
        method = _EXIF_TRANSPOSE.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except IMAGE_DAMAGE:
        method = None  # viewers show images with broken EXIF data unrotated
    if method is None:
        return image
    upright = image.transpose(method)
    for name in ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"):
        upright.info.pop(name, None)  # or the next reader would apply the orientation again
    return upright


def _on_white(upright: Image.Image) -> Image.Image:
    """Return an image as RGB, its transparency composited on white."""
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        return _grey_as_rgb(upright)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        overlay = upright.convert("RGBA")
        white = Image.new("RGBA", overlay.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, overlay).convert("RGB")
    return upright.convert("RGB")


def _grey_as_rgb(image: Image.Image) -> Image.Image:
    """Return a grey image of mode I;16, I or F as RGB, scaled to 8 bits; Pillow would clip its values at 255.

    A transparent grey value becomes white.
    """
    values = np.asarray(image)
    grey = (values.astype(np.uint32) >> 8).astype(np.uint8) if image.mode.startswith("I;16") else _as_bytes(values)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _as_bytes(values: npt.NDArray[np.int32] | npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return values of unknown scale as bytes.

    The maximum tells the scale: 0…1 for floats, else 8 bits, 16 bits, or the maximum is white.
    """
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    largest = numbers.max(initial=0.0)
    is_fraction = values.dtype.kind == "f" and largest <= 1
    white = 1.0 if is_fraction else next((top for top in (255.0, 65535.0) if largest <= top), largest)
    scaled: npt.NDArray[np.uint8] = np.clip(np.rint(numbers / white * 255), 0, 255).astype(np.uint8)
    return scaled
