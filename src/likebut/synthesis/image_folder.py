"""The images of any folder: a data folder's, or simply a folder of pictures."""

from pathlib import Path

from likebut.data_folder import DataFolder
from likebut.errors import InputError
from likebut.images import list_images
from likebut.triplets import ImageRef


def find_images(folder: Path, split: str | None = None) -> list[ImageRef]:
    """Return the images of a data folder, those that belong to one split, or those below a plain folder.

    Raises:
        InputError: The folder is missing or holds no images, or it has no such split.
    """
    if not (folder / "images").is_dir():
        if split is not None and folder.is_dir():
            raise InputError(
                f'{folder} is no data folder (it has no images/), so it has no split "{split}".', "Leave out --split."
            )
        return list_images(folder)
    data = DataFolder.open(folder)
    available = data.images()
    if split is None:
        return list(available.values())
    return data.require(data.images_of(split), available)
