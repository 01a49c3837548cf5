from pathlib import Path

import pytest
from PIL import Image

from likebut.research.clothing.annotations import load_photographs


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the public collection's layout: every annotated name, with one tiny picture for all."""
    root = tmp_path_factory.mktemp("collection")
    folder = root / "images_original"
    folder.mkdir()
    Image.new("RGB", (8, 8), "navy").save(root / "one.jpg")
    for name in load_photographs():
        (folder / name).hardlink_to(root / "one.jpg")
    return root
