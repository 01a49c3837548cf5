"""A program for tests of kills and concurrent use: `python -m helpers.store_worker JOB FOLDER …`.

It prints one line for each step, after the step is complete.
"""

import sys
import time
from pathlib import Path

import numpy as np

from helpers.fake_retriever import FakeRetriever
from helpers.store_samples import identifier, query, sample
from likebut.gallery import lance_store as lance_index
from likebut.gallery.gallery import Gallery
from likebut.gallery.lance_store import LanceStore
from likebut.gallery.search import search_page


class SlowRetriever(FakeRetriever):
    """Slow enough to be killed while it embeds."""

    def embed_images(self, images: list[object]) -> np.ndarray:
        time.sleep(0.05)
        return super().embed_images(images)


def say(*words: object) -> None:
    print(*words, flush=True)


def add_one_by_one(folder: Path, pictures: Path) -> None:
    gallery = Gallery.open(folder, SlowRetriever())
    for path in sorted(pictures.iterdir()):
        say("added", gallery.add(path).ids[0])


def index_folder(folder: Path, pictures: Path) -> None:
    gallery = Gallery.open(folder, SlowRetriever())
    say("begin")
    say("added", gallery.add(pictures).added)


def read(folder: Path, journal: Path, seconds: float) -> None:
    """Search until the time is up; a hit that the journal lists as deleted before the search began is a failure."""
    store = LanceStore(folder)
    searches = 0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        deleted = set(journal.read_text().split())
        page = search_page(store, query(searches), 10)
        named = {hit.id for hit in page.hits} & deleted
        if named or len(page.hits) != 10:
            say("failure", len(page.hits), *named)
            return
        searches += 1
    say("searches", searches)


def write(folder: Path, journal: Path, images: int, seconds: float) -> None:
    """Add images in small batches, delete one in five, compact now and then; spread over the given time."""
    lance_index.EXACT_TOKENS = 450  # so that the index is trained, and trained again, while others read
    store = LanceStore(folder)
    batch = 10
    pause = seconds / (images / batch)
    with journal.open("a") as deleted:
        for start in range(1000, 1000 + images, batch):
            began = time.monotonic()
            store.put([sample(number) for number in range(start, start + batch)])
            for number in (start, start + 5):
                store.delete([identifier(number)])
                deleted.write(identifier(number) + "\n")
                deleted.flush()
            if start % 200 == 0:
                store.optimise()
            time.sleep(max(0.0, pause - (time.monotonic() - began)))
    say("written", images)


if __name__ == "__main__":
    job, *rest = sys.argv[1:]
    match job:
        case "add":
            add_one_by_one(Path(rest[0]), Path(rest[1]))
        case "index":
            index_folder(Path(rest[0]), Path(rest[1]))
        case "read":
            read(Path(rest[0]), Path(rest[1]), float(rest[2]))
        case "write":
            write(Path(rest[0]), Path(rest[1]), int(rest[2]), float(rest[3]))
