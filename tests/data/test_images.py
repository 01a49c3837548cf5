import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.errors import raises
from helpers.made_pictures import encoded, noise
from likebut.data.images import (
    MAX_PIXELS,
    Preprocessing,
    decode,
    image_size,
    list_images,
    shrink_for_padding,
    target_pad,
)
from likebut.errors import ImageError, InputError, UnreadableImageError


def pixels(image: Image.Image) -> list[list[list[int]]]:
    return np.asarray(image).tolist()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(kind: str) -> None:
    assert pixels(decode(encoded(noise(), kind))) == pixels(noise())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_are_read(kind: str) -> None:
    image = decode(encoded(noise(), kind))
    assert (image.mode, image.size) == ("RGB", (20, 12))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int) -> None:
    # What a camera does that was held otherwise: it stores the inverse of what the tag asks for.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = noise() if orientation == 1 else noise().transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert pixels(decode(encoded(stored, "PNG", exif=exif))) == pixels(noise())


def test_transparency_is_composited_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert pixels(decode(encoded(image, "PNG"))) == [[[200, 0, 0], [255, 255, 255]]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert pixels(decode(encoded(palette, "PNG", transparency=1))) == [[[10, 20, 30], [255, 255, 255]]]
    grey = Image.new("LA", (1, 1), (100, 0))
    assert pixels(decode(encoded(grey, "PNG"))) == [[[255, 255, 255]]]


def test_the_first_frame_of_an_animation_is_used() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(decode(content))[0][0] == [255, 0, 0]


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.array([[0, 128 << 8, 65535]], dtype=np.uint16))
    assert pixels(decode(encoded(grey, "PNG"))) == [[[0] * 3, [128] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 255]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 32768, 65535]], dtype=np.int32), [0, 128, 255]),
        (np.array([[-5, 1_000_000, 2_000_000]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0, 100, 200]], dtype=np.float32), [0, 100, 200]),
        (np.array([[np.nan, 0.5, 1]], dtype=np.float32), [0, 128, 255]),
    ],
)
def test_grey_of_32_bits_is_scaled_not_clipped(values: np.ndarray, expected: list[int]) -> None:
    assert pixels(decode(encoded(Image.fromarray(values), "TIFF"))) == [[[each] * 3 for each in expected]]


def test_16_bit_grey_with_a_transparent_value() -> None:
    grey = Image.fromarray(np.array([[0, 128 << 8, 7, 65535]], dtype=np.uint16))
    plain = encoded(grey, "PNG")
    kind = b"tRNS" + (7).to_bytes(2, "big")
    at = plain.index(b"IDAT") - 4
    content = plain[:at] + (2).to_bytes(4, "big") + kind + zlib.crc32(kind).to_bytes(4, "big") + plain[at:]
    assert pixels(decode(content)) == [[[0] * 3, [128] * 3, [255] * 3, [255] * 3]]


def test_cmyk_becomes_rgb() -> None:
    image = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = pixels(image)[8][8]
    assert red > 200 and green < 60 and blue < 60


def test_a_jpeg_is_decoded_at_a_sufficient_reduced_scale() -> None:
    content = encoded(noise(1600, 800), "JPEG")
    assert decode(content).size == (1600, 800)
    reduced = decode(content, least_side=100)
    assert min(reduced.size) >= 200 and reduced.width == 2 * reduced.height and reduced.width < 1600


def flat_png(width: int, height: int) -> bytes:
    """Return a white one-bit PNG, made without holding its pixels."""
    packer = zlib.compressobj(1)
    row = b"\x00" + b"\xff" * ((width + 7) // 8)
    data = b"".join([packer.compress(row) for _ in range(height)]) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("size", [(20_000, 20_000), (10_001, 10_000)])
def test_a_decompression_bomb_is_refused_before_decoding(size: tuple[int, int]) -> None:
    content = flat_png(*size)
    assert len(content) < 1_000_000
    with raises(ImageError, None, 100000000):
        decode(content)


def test_limits_can_be_tightened() -> None:
    content = encoded(noise(), "PNG")
    with raises(ImageError, None, "20×12", 239):
        decode(content, max_pixels=239)
    assert decode(content, max_pixels=240).size == (20, 12)
    with raises(ImageError, None, len(content), 10):
        decode(content, max_bytes=10)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as handle:
        handle.truncate(65 * 1024 * 1024)
    with raises(ImageError, None, 68157440, 67108864):
        decode(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an image",
        encoded(noise(), "PNG")[:-40],
        encoded(noise(64, 64), "JPEG")[:600],
        encoded(noise(), "PPM"),  # Pillow supports the format, but its decoder is little tested
    ],
)
def test_unusable_content_is_an_image_error(content: bytes) -> None:
    with raises(ImageError, "unusable-image"):
        decode(content)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with raises(ImageError):
        decode(tmp_path / "absent.png")
    with raises(ImageError):
        decode(tmp_path)


SEEDS = [
    encoded(noise(), kind, **options)
    for kind, options in (
        ("JPEG", {"exif": b"Exif\x00\x00" + Image.Exif().tobytes()}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    )
]


@settings(max_examples=150, deadline=None)
@given(seed=st.sampled_from(SEEDS), changes=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6))
def test_any_damage_is_an_image_error_or_decodes(seed: bytes, changes: list[tuple[int, int]]) -> None:
    content = bytearray(seed)
    for place, value in changes:
        content[place % len(content)] = value
    try:
        image = decode(bytes(content))
    except ImageError:
        return
    assert image.mode == "RGB"


def test_the_size_is_read_from_the_header_alone() -> None:
    assert image_size(encoded(noise(64, 48), "JPEG")[:700]) == (64, 48)
    with pytest.raises(ImageError):
        image_size(b"not a picture")


@pytest.mark.parametrize(
    ("size", "padded"),
    [((100, 100), (100, 100)), ((120, 100), (120, 100)), ((200, 100), (200, 160)), ((50, 200), (160, 200))],
)
def test_target_padding_bounds_the_ratio(size: tuple[int, int], padded: tuple[int, int]) -> None:
    image = target_pad(Image.new("RGB", size, "white"), 1.25)
    assert image.size == padded
    # The picture is in the middle, black around it.
    assert image.getpixel((image.width // 2, image.height // 2)) == (255, 255, 255)
    assert padded == size or image.getpixel((0, 0)) == (0, 0, 0)


def test_preprocessing_by_hand() -> None:
    left, right = (255, 0, 0), (0, 0, 255)
    image = Image.new("RGB", (64, 64), left)
    image.paste(right, (32, 0, 64, 64))
    chosen = Preprocessing(size=16, mean=(0.5, 0.25, 0.0), std=(0.5, 0.5, 2.0))
    tensor = chosen(image)
    assert tensor.shape == (3, 16, 16) and tensor.dtype == torch.float32
    # (1 − 0.5) / 0.5, (0 − 0.25) / 0.5, (0 − 0) / 2; and on the right (0 − 0.5) / 0.5, …, (1 − 0) / 2.
    assert tensor[:, 8, 2].tolist() == [1.0, -0.5, 0.0] and tensor[:, 8, 13].tolist() == [-1.0, -0.5, 0.5]


def test_a_wide_image_is_cropped_at_its_middle() -> None:
    image = Image.new("RGB", (48, 40), "black")
    image.paste("white", (16, 0, 32, 40))
    tensor = Preprocessing(size=40, mean=(0, 0, 0), std=(1, 1, 1))(image)
    assert tensor.shape == (3, 40, 40)
    assert tensor[0, 20].tolist() == [0.0] * 12 + [1.0] * 16 + [0.0] * 12


def test_another_preprocessing_has_another_fingerprint() -> None:
    prints = {
        Preprocessing(**change).fingerprint() for change in ({}, {"size": 32}, {"pad_ratio": 1.5}, {"mean": (0, 0, 0)})
    }
    assert len(prints) == 4 and Preprocessing().fingerprint() == Preprocessing(size=224).fingerprint()


def test_images_are_listed_by_name_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "deep/er/c.webp", "notes.txt", ".hidden.png", ".cache/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [image.name for image in list_images(tmp_path)] == ["a.jpg", "b.PNG", "deep/er/c.webp"]
    with raises(InputError, "no-such-folder"):
        list_images(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with raises(InputError, "no-images"):
        list_images(tmp_path / "empty")


def test_an_elongated_image_needs_little_memory() -> None:
    # Padded as it is, a picture of 16×60,000 pixels would have 2,880,000,000.
    thin = Image.new("RGB", (16, 60_000), "white")
    shrunk = shrink_for_padding(thin, 1.25, 3584)
    assert shrunk.size == (1, 3584) and target_pad(shrunk, 1.25).width * 3584 <= MAX_PIXELS
    assert Preprocessing(size=32)(thin).shape == (3, 32, 32)


@pytest.mark.parametrize("size", [(6000, 4000), (9000, 8000), (50, 11_000)])
def test_other_images_are_padded_unchanged(size: tuple[int, int]) -> None:
    image = Image.new("L", size)
    assert shrink_for_padding(image, 1.25, 3584) is image


def test_a_side_beyond_the_limit_is_refused() -> None:
    with raises(ImageError, None, 70000, 65535):
        decode(encoded(Image.new("1", (70_000, 1)), "PNG"))


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("now a file")
    with raises(UnreadableImageError, None, "Not a directory"):
        decode(tmp_path / "folder" / "picture.png")
