"""Files and folders that cannot be read temporarily: what is stored of them is kept, and they are read again."""

import errno
import os
from pathlib import Path

import pytest

from helpers.fake_retriever import FakeRetriever
from helpers.pictures_on_disk import coloured, write_pictures
from likebut.data.images import list_images
from likebut.errors import InputError
from likebut.gallery.gallery import Gallery

LONG_AGO = 1_000_000_000


def age(folder: Path, seconds: int = LONG_AGO) -> None:
    """Set old modification times, so that files are not read again because they are recent."""
    for path in folder.rglob("*.png"):
        os.utime(path, (seconds, seconds))


def break_reading(patch: pytest.MonkeyPatch, name: str, error: OSError) -> None:
    whole = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self.name == name:
            raise error
        return whole(self)

    patch.setattr(Path, "read_bytes", read_bytes)


FAULTS = [OSError(errno.EIO, "Input/output error"), PermissionError(errno.EACCES, "Permission denied")]


@pytest.mark.parametrize("fault", FAULTS, ids=["EIO", "EACCES"])
def test_an_unreadable_file_is_read_again(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: OSError
) -> None:
    age(folder)
    with monkeypatch.context() as patch:
        break_reading(patch, "3.png", fault)
        report = gallery.synchronise(folder)
    assert report.added == 11 and [Path(each.name).name for each in report.skipped] == ["3.png"]
    assert len(report.ids) == 11 and str(folder / "3.png") not in gallery.store.files()
    again = gallery.synchronise(folder)
    assert (again.added, again.unchanged, again.skipped) == (1, 11, ())


@pytest.mark.parametrize("fault", FAULTS, ids=["EIO", "EACCES"])
def test_an_unreadable_file_keeps_its_image(
    gallery: Gallery, folder: Path, retriever: FakeRetriever, monkeypatch: pytest.MonkeyPatch, fault: OSError
) -> None:
    age(folder)
    image_id = gallery.add(folder / "3.png").ids[0]
    gallery.set_metadata(image_id, {"note": "mine"})
    gallery.synchronise(folder)
    age(folder, LONG_AGO + 5)
    with monkeypatch.context() as patch:
        break_reading(patch, "3.png", fault)
        report = gallery.synchronise(folder)
    assert len(report.skipped) == 1 and image_id not in report.ids
    assert gallery.image(image_id).metadata == {"note": "mine"} and len(gallery) == 12
    again = gallery.synchronise(folder)
    assert (again.unchanged, again.skipped) == (12, ()) and retriever.embedded == 12


def test_a_file_that_changed_while_unreadable(gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = gallery.add(folder / "3.png").ids[0]
    coloured(300).save(folder / "3.png")
    with monkeypatch.context() as patch:
        break_reading(patch, "3.png", FAULTS[0])
        gallery.add(folder / "3.png")
    report = gallery.add(folder / "3.png")
    assert report.updated == 1 and old not in gallery and len(gallery) == 1


def close_folder(patch: pytest.MonkeyPatch, closed: Path) -> None:
    """Make a folder unlistable, for root as well."""
    scan = os.scandir

    def scandir(path: str | Path = ".") -> object:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    patch.setattr(os, "scandir", scandir)


def test_images_in_an_unlistable_folder_are_kept(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(folder / "sub" / "deep", range(50, 53))
    write_pictures(folder / "subway", range(60, 61))
    assert gallery.synchronise(folder).added == 16
    (folder / "3.png").unlink()
    (folder / "subway" / "60.png").unlink()
    with monkeypatch.context() as patch:
        close_folder(patch, folder / "sub")
        report = gallery.synchronise(folder)
    assert (report.removed, report.unchanged, len(gallery)) == (2, 11, 14)
    (skipped,) = report.skipped
    assert skipped.name == str(folder / "sub") and "Permission denied" in skipped.reason
    again = gallery.synchronise(folder)
    assert (again.removed, again.unchanged, again.skipped) == (0, 14, ())


def test_an_unlistable_root_folder(gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery.synchronise(folder)
    close_folder(monkeypatch, folder)
    with pytest.raises(InputError) as error:
        gallery.synchronise(folder)
    assert str(folder) in error.value.problem
    assert len(gallery) == 12


def test_list_images_refuses_an_unlistable_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(folder / "sub", range(50, 53))
    write_pictures(folder / ".hidden", range(60, 61))
    (folder / "link").symlink_to(folder / "sub", target_is_directory=True)
    (folder / "nowhere.png").symlink_to(folder / "none.png")
    listed = [image.name for image in list_images(folder)]
    assert listed == sorted([*(f"{number}.png" for number in range(12)), *(f"sub/{n}.png" for n in range(50, 53))])
    close_folder(monkeypatch, folder / "sub")
    with pytest.raises(InputError) as error:
        list_images(folder)
    assert str(folder / "sub") in error.value.problem
