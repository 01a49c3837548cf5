"""Finding the photographs on disk: in the public collection's layout, or in a folder of likebut's."""

from collections.abc import Iterable
from pathlib import Path

from likebut.errors import InputError
from likebut.images import SUFFIXES
from likebut.triplets import ImageRef

# Smaller copies first: training reads 256 pixels of each photograph.
_FOLDERS = ("images", "images_compressed", "images_original", ".")


def locate_photographs(root: Path, names: Iterable[str]) -> dict[str, ImageRef]:
    """Return where each photograph lies below ``root``, by name; one that is missing keeps the place it should have.

    Args:
        root: The public collection's folder (with ``images/``, ``images_compressed/`` or ``images_original/``), or the
            folder of photographs itself.
        names: The photographs' names; another suffix (``.JPEG``) is found too.

    Raises:
        InputError: There is no such folder.
    """
    if not root.is_dir():
        raise InputError(
            f"There is no folder {root}.", "Give the photographs' folder; `likebut data info clothing` says which."
        )
    found: dict[str, Path] = {}
    for folder in _FOLDERS:
        for path in _pictures(root / folder):
            found.setdefault(path.stem, path)
    by_the_book = root / "images" if (root / "images").is_dir() else root
    return {name: ImageRef(name, found.get(Path(name).stem, by_the_book / name)) for name in names}


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
