from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likebut.errors import InputError, LikebutError
from likebut.research.reports.written_samples import GridCell, write_sample_grid


def noise(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (200, 150, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def cells(folder: Path, count: int) -> list[GridCell]:
    images = [noise(folder / f"{number}.png", number) for number in range(4)]
    text = "a red tee instead of the blue one, with long sleeves and " * 4
    return [GridCell(images[n % 4], images[(n + 1) % 4], text, "make it red" if n % 2 else "") for n in range(count)]


def test_two_columns_of_pairs(tmp_path: Path) -> None:
    sizes = {}
    for count in (1, 2, 3):
        written = write_sample_grid(cells(tmp_path, count), tmp_path / "grid.png")
        assert written == (tmp_path / "grid.png").stat().st_size
        with Image.open(tmp_path / "grid.png") as image:
            sizes[count] = image.size
            assert len(set(image.convert("L").crop((20, 20, 148, 148)).tobytes())) > 20  # the first thumbnail
    assert sizes[1] == sizes[2] and sizes[3][0] == sizes[1][0]
    assert sizes[3][1] - sizes[2][1] == 138  # a row of thumbnails of 128, and the gap


def test_thumbnails_shrink_until_the_file_is_small_enough(tmp_path: Path) -> None:
    whole = write_sample_grid(cells(tmp_path, 8), tmp_path / "whole.png")
    small = write_sample_grid(cells(tmp_path, 8), tmp_path / "small.png", most_bytes=whole // 2)
    assert small < whole // 2
    with Image.open(tmp_path / "whole.png") as one, Image.open(tmp_path / "small.png") as other:
        assert other.width < one.width
    with pytest.raises(LikebutError) as error:
        write_sample_grid(cells(tmp_path, 8), tmp_path / "none.png", most_bytes=100)
    assert error.value.code == "too-large"
    assert not (tmp_path / "none.png").exists()


def test_no_samples(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        write_sample_grid([], tmp_path / "grid.png")
    assert error.value.code == "no-samples"
