"""Checks of a gallery: whether it opens, whether its index is complete, whether its files are there."""

from collections.abc import Iterator
from pathlib import Path

from likebut.errors import LikebutError
from likebut.gallery.lance_store import LanceStore
from likebut.gallery.lance_tables import is_uri
from likebut.models.health import Check


def check_gallery(location: str) -> Iterator[Check]:
    """Yield the result of each check of a gallery; no model is loaded.

    Args:
        location: A folder, or an object-store URI.
    """
    if not is_uri(location) and not Path(location).is_dir():
        yield Check("gallery", "note", f"none at {location}", "Make one with `likebut index FOLDER`.")
        return
    try:
        store = LanceStore(location)
        health = store.health()
    except LikebutError as error:
        yield Check("gallery", "problem", error.problem, error.remedy)
        return
    size = "" if health.disk_bytes is None else f", {health.disk_bytes / 1e6:.0f} MB"
    detail = f"{location}: {health.images} images{size}, {health.search} search, indexed with {store.identity}"
    yield Check("gallery", "ok", detail)
    if health.unindexed:
        remedy = f"Run `likebut index FOLDER --gallery {location}`."
        yield Check("gallery index", "note", f"{health.unindexed} images are not in the vector index yet", remedy)
    files = store.files().values()
    missing = [entry.path for entry in files if entry.image_id is not None and not Path(entry.path).is_file()]
    if missing:
        yield Check(
            "gallery files",
            "note",
            f"{len(missing)} image files are no longer at their path, {missing[0]} first",
            f"Run `likebut index FOLDER --gallery {location}` on their present folder.",
        )
    skipped = [entry for entry in files if entry.image_id is None]
    if skipped:
        yield Check(
            "gallery skipped",
            "note",
            f"{len(skipped)} files are skipped, {skipped[0].path} first. {skipped[0].reason}",
            "Replace the files and index the folder again.",
        )
