import queue
import threading
from pathlib import Path

import pytest

from helpers.fake_retriever import FakeRetriever
from helpers.pictures_on_disk import coloured, write_pictures
from likebut.errors import InputError
from likebut.gallery.gallery import Gallery
from likebut.gallery.requests import AddReport
from likebut.gallery.watching import watch


def test_changes_are_synchronised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likebut.gallery.watching._SETTLE_MS", 50)
    monkeypatch.setattr("likebut.gallery.watching._POLL_MS", 100)
    folder = tmp_path / "photos"
    write_pictures(folder, range(3))
    # Inside the folder, as when the working directory is indexed: its own files must not trigger a synchronisation.
    gallery = Gallery.open(folder / "likebut-gallery", FakeRetriever())
    outcomes: queue.Queue[AddReport | InputError] = queue.Queue()
    stop = threading.Event()

    def follow() -> None:
        for outcome in watch(gallery, folder, stop=stop):
            outcomes.put(outcome)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        first = outcomes.get(timeout=20)
        assert isinstance(first, AddReport) and first.added == 3, "images from before the first change are added"
        coloured(50).save(folder / "new.png")
        second = outcomes.get(timeout=20)
        assert isinstance(second, AddReport) and (second.added, second.removed) == (1, 0)
        (folder / "new.png").unlink()
        third = outcomes.get(timeout=20)
        assert isinstance(third, AddReport) and third.removed == 1 and len(gallery) == 3
        for path in folder.glob("*.png"):
            path.unlink()
        fourth = outcomes.get(timeout=20)
        assert isinstance(fourth, InputError) and len(gallery) == 3
        coloured(51).save(folder / "last.png")
        fifth = outcomes.get(timeout=20)
        assert isinstance(fifth, AddReport) and fifth.removed == 3 and len(gallery) == 1
        assert outcomes.empty()
    finally:
        stop.set()
        thread.join(timeout=20)
    gallery.close()
    assert not thread.is_alive()
