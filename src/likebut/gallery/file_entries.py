"""What a store knows of files: which of them hold an image, and what becomes of images whose files are gone."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from likebut.files import is_gone
from likebut.gallery.store import FileEntry, GalleryStore
from likebut.images import SetAside, images_below


def holders_of(entries: Iterable[FileEntry]) -> dict[str, set[str]]:
    """Return the paths of the files that hold each image."""
    holders: dict[str, set[str]] = {}
    for entry in entries:
        if entry.image_id is not None:
            holders.setdefault(entry.image_id, set()).add(entry.path)
    return holders


def forget_missing(store: GalleryStore, root: Path) -> tuple[int, list[SetAside]]:
    """Forget the files that are gone from below ``root``; return how many images went, and folders not to be listed.

    What lies below a folder that cannot be listed is not gone, as far as anybody knows.

    Raises:
        InputError: There is no such folder, or no picture in it.
    """
    images, unlisted = images_below(root)
    there = {str(image.path) for image in images}
    hidden = [Path(each.name) for each in unlisted]
    gone = [
        name
        for name in store.files()
        if name not in there
        and (path := Path(name)).is_relative_to(root)
        and not any(path.is_relative_to(folder) for folder in hidden)
    ]
    return forget_files(store, gone), unlisted


def forget_files(store: GalleryStore, gone: Sequence[str]) -> int:
    """Forget files that are gone, remove the images that no other file holds, and return how many those were.

    An image that another file holds is named after that file from then on.
    """
    holders = holders_of(store.files().values())
    lost = set(gone)
    touched = [image_id for image_id, paths in holders.items() if not paths.isdisjoint(lost)]
    removed = store.delete([image_id for image_id in touched if holders[image_id] <= lost])
    images = store.get([image_id for image_id in touched if not holders[image_id] <= lost])
    renamed = [replace(image, path=min(holders[image.id] - lost)) for image in images.values() if image.path in lost]
    store.update(renamed)
    store.remove_files(gone)
    return removed


def name_after_present(
    store: GalleryStore, holders: Mapping[str, Collection[str]]
) -> tuple[set[str], dict[str, set[str]]]:
    """Forget files that are gone though others hold their images, and name the images after a file that is there.

    Args:
        store: Where the images are.
        holders: Of the images in question; those of which no file is left stay as they are.

    Returns:
        The images that got another name, and the files of each image that are gone.
    """
    lost = {image_id: {path for path in paths if is_gone(Path(path))} for image_id, paths in holders.items()}
    gone = {image_id: paths for image_id, paths in lost.items() if paths and len(paths) < len(holders[image_id])}
    named = [image for image in store.get(list(gone)).values() if image.path in gone[image.id]]
    store.update([replace(image, path=min(set(holders[image.id]) - gone[image.id])) for image in named])
    store.remove_files([path for paths in gone.values() for path in paths])
    return {image.id for image in named}, gone
