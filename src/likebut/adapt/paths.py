"""What folders and files are called: names for the images, where they are no camera's numbers."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

_WORD = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])")
# What cameras, phones, scanners and programs call files and folders.
_DEVICE_WORDS = frozenset(
    "img image images imag dsc dscn dscf pxl pict pic photo photos picture pictures vid mvi gopr screenshot scan "
    "snapshot whatsapp wa signal telegram fb received capture untitled unnamed file files final edited copy kopie bild "
    "foto imgp p dji cam camera dcim canon nikon android train training val valid validation test testing data "
    "dataset thumb thumbs thumbnail small large medium original originals full raw jpg jpeg png webp export "
    "upload uploads at am pm".split()
)
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{5,}", re.IGNORECASE)
_LEAST_LETTERS = 3
_COMMON_SHARE = 0.5


def words_in(part: str) -> list[str]:
    """Return the words in a folder's or a file's name, without numbers, codes and what devices write."""
    if re.fullmatch(r"[0-9a-fA-F-]{8,}", part):
        return []
    whole = [word for word in _WORD.findall(part) if word.casefold() not in _DEVICE_WORDS]
    words = [word for each in whole for word in _CAMEL.sub(" ", each).split() if word.casefold() not in _DEVICE_WORDS]
    meaningful = [word for word in words if len(word) >= _LEAST_LETTERS and not _CONSONANTS.search(word)]
    return words if meaningful and len(meaningful) >= len(words) / 2 else meaningful


def names_of_folders(images: Sequence[str]) -> dict[str, list[str]]:
    """Return for each image the names of the folders that it is in, the innermost first.

    A folder that holds more than nine images in ten says nothing.
    """
    paths = {image: PurePosixPath(image).parts[:-1] for image in images}
    inside = Counter(parts[:depth] for parts in paths.values() for depth in range(1, len(parts) + 1))
    found: dict[str, list[str]] = {}
    for image, parts in paths.items():
        names = []
        for depth in range(len(parts), 0, -1):
            words = words_in(parts[depth - 1])
            if words and inside[parts[:depth]] <= 0.9 * len(images):
                names.append(" ".join(words))
        found[image] = list(dict.fromkeys(names))
    return found


def names_of_files(images: Sequence[str]) -> dict[str, str]:
    """Return for each image the words of its file's name; words that more than half of the files have are left out."""
    words = {image: words_in(PurePosixPath(image).stem) for image in images}
    counts = Counter(word.casefold() for found in words.values() for word in set(found))
    common = {word for word, count in counts.items() if count > _COMMON_SHARE * len(images) and len(images) > 2}
    return {image: " ".join(word for word in found if word.casefold() not in common) for image, found in words.items()}
