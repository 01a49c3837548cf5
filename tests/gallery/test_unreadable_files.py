"""Files and folders that cannot be read just now: nothing that is known of them is lost, and they are tried again."""

import errno
import os
from pathlib import Path

import pytest
from fake_retriever import FakeRetriever
from pictures_on_disk import coloured

from likebut.gallery.gallery import Gallery

LONG_AGO = 1_000_000_000


def age(folder: Path, seconds: int = LONG_AGO) -> None:
    """Make files so old that they are not read again for their age."""
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
def test_a_file_that_cannot_be_read_is_tried_again(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: OSError
) -> None:
    age(folder)
    with monkeypatch.context() as patch:
        break_reading(patch, "3.png", fault)
        report = gallery.synchronise(folder)
    assert report.added == 11 and [Path(each.name).name for each in report.set_aside] == ["3.png"]
    assert len(report.ids) == 11 and str(folder / "3.png") not in gallery.store.files()
    again = gallery.synchronise(folder)
    assert (again.added, again.unchanged, again.set_aside) == (1, 11, ())


@pytest.mark.parametrize("fault", FAULTS, ids=["EIO", "EACCES"])
def test_what_is_known_of_a_file_outlives_a_fault_of_the_disk(
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
    assert len(report.set_aside) == 1 and image_id not in report.ids
    assert gallery.image(image_id).metadata == {"note": "mine"} and len(gallery) == 12
    again = gallery.synchronise(folder)
    assert (again.unchanged, again.set_aside) == (12, ()) and retriever.embedded == 12


def test_a_file_that_changed_while_it_could_not_be_read(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = gallery.add(folder / "3.png").ids[0]
    coloured(300).save(folder / "3.png")
    with monkeypatch.context() as patch:
        break_reading(patch, "3.png", FAULTS[0])
        gallery.add(folder / "3.png")
    report = gallery.add(folder / "3.png")
    assert report.updated == 1 and old not in gallery and len(gallery) == 1
